"""XLSX: reads the first visible sheet row by row with openpyxl's parser, under defusedxml, nothing but the cells."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Final
from warnings import catch_warnings, simplefilter
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from django.utils.translation import gettext as _
from openpyxl.reader.excel import ExcelReader
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._reader import WorkSheetParser

from provisioning.batches.cells import EMPTY, FAULT, FORMULA, NUMBER, Cell
from provisioning.batches.errors import FileRefused
from provisioning.batches.files import archive
from provisioning.batches.files.table import Row, Table, with_titles
from provisioning.batches.limits import MAX_COLUMNS

LAST_ROW: Final = 1_048_576
_BROKEN = (
    *archive.BROKEN,
    InvalidFileException,
    DefusedXmlException,
    ParseError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    OSError,
)


@contextmanager
def open_xlsx(file: BinaryIO) -> Iterator[Table]:
    """The table of a workbook. FileRefused for one that is unsafe, damaged or no workbook."""
    archive.inspect(file)
    with catch_warnings():
        simplefilter("ignore")  # openpyxl warns of what it leaves out: styles, validations, drawings
        try:
            # Parts by part instead of load_workbook: that would go through a whole sheet to learn its size.
            reader = ExcelReader(file, read_only=True, keep_links=False)
            reader.read_manifest()
            reader.read_strings()
            reader.read_workbook()
            sheets = [
                (str(sheet.name), rel.target)
                for sheet, rel in sorted(reader.parser.find_sheets(), key=lambda one: one[0].state != "visible")
                if rel.target in reader.valid_files and "chartsheet" not in rel.Type
            ]
            if not sheets:
                raise FileRefused(_("The workbook has no sheet with a table."))
            source = reader.archive.open(sheets[0][1])
        except _BROKEN:
            raise archive.damaged() from None
        with source:
            facts = {"format": "XLSX", "sheet": sheets[0][0][:60]}
            if len(sheets) > 1:
                facts["sheets"] = str(len(sheets))
            yield with_titles(_rows(WorkSheetParser(source, reader.shared_strings)), facts)


def _rows(parser: Any) -> Iterator[Row]:
    rows, last = parser.parse(), 0
    while True:
        try:
            line, found = next(rows)
            cells = _cells(found)
        except StopIteration:
            return
        except _BROKEN:
            raise archive.damaged() from None
        if not last < line <= LAST_ROW:
            raise archive.damaged()
        last = line
        yield line, cells


def _cells(found: Sequence[dict[str, Any]]) -> list[Cell]:
    """The cells of a row by their columns; those beyond MAX_COLUMNS are nobody's."""
    cells: list[Cell] = []
    for one in found:
        column = one["column"]
        if one["value"] is None or not 1 <= column <= MAX_COLUMNS:
            continue
        while len(cells) < column:
            cells.append(EMPTY)
        cells[column - 1] = _cell(one["value"], one["data_type"])
    return cells


def _cell(value: Any, kind: str) -> Cell:
    if kind == "f" or (isinstance(value, str) and value.startswith("=")):
        return Cell("=", FORMULA)
    if kind == "e":
        return Cell(str(value)[:20], FAULT)
    if isinstance(value, str):
        return Cell(value)
    if isinstance(value, bool):
        return Cell(str(value).upper())
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return Cell(str(value), NUMBER)
