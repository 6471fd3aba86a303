"""The protocol of a ceremony: one content, printed as Markdown and as PDF."""

import io
from typing import Final
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph, Spacer, Table, TableStyle

from provisioning.keys.ceremony.record import Record

TEST_LABEL: Final = "TEST: a rehearsal, its key was thrown away"
_LINE: Final = "_" * 34


def title(record: Record) -> str:
    return "Protocol of a key ceremony" + (f" ({TEST_LABEL})" if record.test else "")


def sections(record: Record) -> list[tuple[str, list[str], list[list[str]]]]:
    """(heading, column titles, rows) in the order of the paper. The answers are there by then."""
    answers = record.answers
    assert answers is not None
    facts = [
        ["Installation", answers.installation],
        ["Purpose", answers.purpose],
        ["Place", answers.place],
        ["Provider", answers.provider],
        ["Source of randomness", answers.entropy],
        ["Key-encryption key", record.kek_id],
        ["Check value (AES-ECB over a zero block, 3 bytes)", record.check_value],
        ["Public half for web workers", record.public_file],
        ["Remarks", answers.remarks or "none"],
    ]
    steps = [[f"{done.at:%Y-%m-%d %H:%M:%S} UTC", done.words] for done in record.steps]
    custody = [[item.item, item.holder, item.place, item.envelope or "none", ""] for item in answers.custody]
    people = [[who.name, who.role, _LINE] for who in (answers.leader, answers.witness)]
    return [
        ("What was made", ["", ""], facts),
        ("What was done", ["When", "What"], steps),
        ("Who keeps what opens it", ["What", "Who", "Where", "Envelope", "Received (signature)"], custody),
        ("Present", ["Name", "Role", "Date, signature"], people),
    ]


def markdown(record: Record) -> str:
    """For the screen and for version control."""
    lines = [f"# {title(record)}", ""]
    for heading, columns, rows in sections(record):
        lines += [f"## {heading}", "", _row(columns), _row(["---"] * len(columns)), *map(_row, rows), ""]
    return "\n".join(lines)


def pdf(record: Record) -> bytes:
    """For printing and signing: A4, with TEST across each page of a rehearsal."""
    out = io.BytesIO()
    document = BaseDocTemplate(out, pagesize=A4, title=title(record), pageCompression=0, invariant=1)
    frame = Frame(20 * mm, 18 * mm, A4[0] - 40 * mm, A4[1] - 36 * mm)
    document.addPageTemplates(PageTemplate(frames=[frame], onPage=_watermark if record.test else _plain))
    styles = getSampleStyleSheet()
    story: list[Flowable] = [Paragraph(_printable(title(record)), styles["Title"])]
    for heading, columns, rows in sections(record):
        story.append(Paragraph(_printable(heading), styles["Heading2"]))
        body = [columns, *rows] if any(columns) else rows
        cells = [[Paragraph(_printable(text), styles["BodyText"]) for text in row] for row in body]
        grid = Table(cells, colWidths=[(A4[0] - 44 * mm) / len(columns)] * len(columns), repeatRows=int(any(columns)))
        grid.setStyle(TableStyle([("GRID", (0, 0), (-1, -1), 0.4, colors.grey), ("VALIGN", (0, 0), (-1, -1), "TOP")]))
        story += [grid, Spacer(1, 4 * mm)]
    document.build(story)
    return out.getvalue()


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _printable(text: str) -> str:
    """The standard fonts know Western European letters."""
    return escape(text.encode("cp1252", "replace").decode("cp1252"))


def _plain(canvas: Canvas, _document: BaseDocTemplate) -> None:
    canvas.setFont("Helvetica", 8)
    canvas.drawRightString(A4[0] - 20 * mm, 10 * mm, f"{canvas.getPageNumber()}")


def _watermark(canvas: Canvas, document: BaseDocTemplate) -> None:
    _plain(canvas, document)
    canvas.saveState()
    canvas.setFont("Helvetica-Bold", 150)
    canvas.setFillGray(0.9)
    canvas.translate(A4[0] / 2, A4[1] / 2)
    canvas.rotate(50)
    canvas.drawCentredString(0, -50, "TEST")
    canvas.restoreState()
