"""XLSX: refuses bombs and macros before anything is unpacked, then reads the first sheet with any content."""

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from typing import Any, BinaryIO, Final
from warnings import catch_warnings, simplefilter
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from django.utils.translation import gettext as _
from openpyxl import load_workbook

from provisioning.batches.cells import EMPTY, FAULT, FORMULA, NUMBER, Cell
from provisioning.batches.errors import FileRefused
from provisioning.batches.files.table import Row, Table, with_titles
from provisioning.batches.limits import MAX_COLUMNS

MAX_MEMBERS: Final = 500
MAX_UNPACKED: Final = 128 * 2**20  # 100,000 rows of ten columns have some 60 MB
MAX_STRINGS: Final = 48 * 2**20  # the table of shared strings is held in memory
MAX_OTHER: Final = 8 * 2**20
MAX_RATIO: Final = 100
_RATIO_FROM: Final = 2**20
_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)
_BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    DefusedXmlException,
    ParseError,
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    EOFError,
    NotImplementedError,
    OverflowError,
    OSError,
)


@contextmanager
def open_xlsx(file: BinaryIO) -> Iterator[Table]:
    """The table of a workbook. FileRefused for one that is unsafe, damaged or no workbook."""
    _inspect(file)
    file.seek(0)
    with catch_warnings():
        simplefilter("ignore")  # openpyxl warns of what it leaves out: styles, validations, drawings
        try:
            book = load_workbook(file, read_only=True, keep_links=False)
        except _BROKEN:
            raise _damaged() from None
        try:
            sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"] or book.worksheets
            if not sheets:
                raise FileRefused(_("The workbook has no sheet with a table."))
            facts = {"format": "XLSX", "sheet": str(sheets[0].title)[:60]}
            if len(sheets) > 1:
                facts["sheets"] = str(len(sheets))
            yield with_titles(_rows(sheets[0]), facts)
        finally:
            book.close()


def _rows(sheet: Any) -> Iterator[Row]:
    rows = enumerate(sheet.iter_rows(max_col=MAX_COLUMNS), 1)
    while True:
        try:
            line, cells = next(rows)
        except StopIteration:
            return
        except _BROKEN:
            raise _damaged() from None
        yield line, [_cell(cell) for cell in cells]


def _cell(cell: Any) -> Cell:
    value = cell.value
    if value is None:
        return EMPTY
    if cell.data_type == "f" or (isinstance(value, str) and value.startswith("=")):
        return Cell("=", FORMULA)
    if cell.data_type == "e":
        return Cell(str(value)[:20], FAULT)
    if isinstance(value, str):
        return Cell(value)
    if isinstance(value, (datetime, date, time)):
        return Cell(value.isoformat(), NUMBER)
    if isinstance(value, bool):
        return Cell(str(value).upper())
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return Cell(str(value), NUMBER)


def _inspect(file: BinaryIO) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (*_BROKEN, RuntimeError):
        raise _damaged() from None
    if len(members) > MAX_MEMBERS:
        raise FileRefused(
            _("The workbook has more than {limit} parts; save the table alone as .xlsx.").format(limit=MAX_MEMBERS)
        )
    names = {member.filename.lower() for member in members}
    if any("vbaproject" in name or "macrosheets/" in name for name in names):
        raise FileRefused(_("A workbook with macros is not read; save it as .xlsx without macros, or as .csv."))
    if "xl/workbook.xml" not in names:
        raise FileRefused(_("This archive is no XLSX workbook; export the table as XLSX or CSV."))
    if len(names) != len(members):
        raise _damaged()
    for member in members:
        _inspect_member(member)
    if sum(member.file_size for member in members) > MAX_UNPACKED:
        raise _bomb()


def _inspect_member(member: zipfile.ZipInfo) -> None:
    if member.flag_bits & 1:
        raise FileRefused(_("The workbook is protected by a password; save it without one."))
    if member.compress_type not in _METHODS:
        raise _damaged()
    if member.file_size > _RATIO_FROM and member.file_size > MAX_RATIO * max(member.compress_size, 1):
        raise _bomb()
    limit = MAX_UNPACKED if _SHEET.fullmatch(member.filename) else MAX_OTHER
    if member.filename.lower() == "xl/sharedstrings.xml":
        limit = MAX_STRINGS
    if member.file_size > limit:
        raise _bomb()


def _bomb() -> FileRefused:
    return FileRefused(
        _("Unpacked, this workbook would be far larger than a table of adapters; save the table alone, or as .csv.")
    )


def _damaged() -> FileRefused:
    return FileRefused(_("The workbook is damaged or not a real one; open it and save it anew as .xlsx, or as .csv."))
