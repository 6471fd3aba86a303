"""Labels as pictures, print files and text. Pure: a label in, bytes or text out."""

from provisioning.labels.render.pdf import SHEETS, label_pdf, sheet_pdf
from provisioning.labels.render.svg import label_svg, qr_svg
from provisioning.labels.render.text import label_text
from provisioning.labels.render.zpl import label_zpl

__all__ = ["SHEETS", "label_pdf", "label_svg", "label_text", "label_zpl", "qr_svg", "sheet_pdf"]
