"""PDF: one label for a roll printer, or a sheet of label stock. Vector, so it prints sharp at any resolution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType

from django.utils.translation import gettext as _
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from provisioning.errors import Invalid
from provisioning.labels.render.qr import QUIET, matrix, runs
from provisioning.labels.render.text import lines
from provisioning.labels.services import PrintLabel

SINGLE = (50.0, 30.0)
PADDING = 2.0
TEXT_SHARE = 0.55  # of a label's width that the code may take at most


@dataclass(frozen=True, slots=True)
class Sheet:
    """A4 label stock: labels across and down, their size and the margins in mm."""

    columns: int
    rows: int
    width: float
    height: float
    left: float
    top: float

    @property
    def count(self) -> int:
        return self.columns * self.rows


# Usual stock, named by its grid and label size.
SHEETS: Mapping[str, Sheet] = MappingProxyType(
    {
        "3x8-70x37": Sheet(3, 8, 70.0, 37.0, 0.0, 0.5),
        "3x7-63x38": Sheet(3, 7, 66.04, 38.1, 7.2, 15.15),
        "4x12-45x21": Sheet(4, 12, 48.5, 21.2, 9.75, 21.5),
        "2x4-105x74": Sheet(2, 4, 105.0, 74.25, 0.0, 0.0),
    }
)


def label_pdf(*labels: PrintLabel) -> bytes:
    """A page of 50 mm x 30 mm for each label, as for a roll."""
    width, height = SINGLE
    file, canvas = _canvas((width * mm, height * mm))
    for label in labels:
        _draw(canvas, label, (0.0, 0.0, width, height))
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def sheet_pdf(labels: Sequence[PrintLabel], stock: str, first: int = 1) -> bytes:
    """A4 pages of `stock`, a key of SHEETS, from position `first` (1: top left, then row by row). Raises Invalid."""
    sheet = SHEETS.get(stock)
    if sheet is None:
        raise Invalid("stock", _("Unknown label sheet; known are {known}.").format(known=", ".join(SHEETS)))
    if not 1 <= first <= sheet.count:
        raise Invalid("first", _("This sheet has positions 1 to {count}.").format(count=sheet.count))
    file, canvas = _canvas(A4)
    for number, label in enumerate(labels, first - 1):
        place = number % sheet.count
        if place == 0 and number >= first:
            canvas.showPage()
        row, column = divmod(place, sheet.columns)
        bottom = A4[1] / mm - sheet.top - (row + 1) * sheet.height
        _draw(canvas, label, (sheet.left + column * sheet.width, bottom, sheet.width, sheet.height))
    canvas.showPage()
    canvas.save()
    return file.getvalue()


def _canvas(size: tuple[float, float]) -> tuple[BytesIO, Canvas]:
    file = BytesIO()
    canvas = Canvas(file, pagesize=size, pageCompression=1, invariant=1)
    canvas.setTitle("Meterspan labels")
    return file, canvas


def _draw(canvas: Canvas, label: PrintLabel, place: tuple[float, float, float, float]) -> None:
    """One label into the rectangle (left, bottom, width, height) in mm from the page's lower left corner."""
    left, bottom, width, height = place
    modules = matrix(label.text)
    code = min(height - 2 * PADDING, width * TEXT_SHARE)
    module = code / (len(modules) + 2 * QUIET)
    top = bottom + (height + code) / 2
    canvas.setFillGray(0)
    for x, y, length in runs(modules):
        corner = left + PADDING + (x + QUIET) * module, top - (y + QUIET + 1) * module
        canvas.rect(corner[0] * mm, corner[1] * mm, length * module * mm, module * mm, stroke=0, fill=1)
    start = left + PADDING + code + 0.5
    size = min(9.0, (left + width - start - 1) / 9.5 * 72 / 25.4 * 1.7)
    line = bottom + height / 2 + size * 0.5
    texts = lines(label)
    half = texts[-1][:9].rstrip(), texts[-1][10:]
    for number, text in enumerate([*texts[:-1], *half]):
        canvas.setFont("Helvetica-Bold" if number == 0 else "Helvetica", size)
        canvas.drawString(start * mm, (line - number * size * 0.42) * mm, text)
