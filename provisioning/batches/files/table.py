"""One table out of whatever was uploaded: tells CSV from XLSX, and says what anything else is."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from django.utils.translation import gettext as _

from provisioning.batches.cells import Cell
from provisioning.batches.errors import FileRefused, FileTooLarge
from provisioning.batches.fields import FIELDS, plain_title
from provisioning.batches.limits import MAX_BYTES, MAX_ROWS, too_large

MAX_TITLE: Final = 120
HEAD_ROWS: Final = 10  # a title line may stand above the titles of the columns

_OLE, _ZIP = b"\xd0\xcf\x11\xe0", b"PK"
_GUESSES = frozenset(guess for item in FIELDS for guess in (*item.guesses, plain_title(item.name)))

Row = tuple[int, Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Hints:
    """What is known of a supplier's files; empty: found out."""

    encoding: str = ""
    delimiter: str = ""


@dataclass(slots=True)
class Table:
    """`titles` of the columns, the line they stand on, the rows below as (line, cells), and how it was read."""

    titles: list[str]
    line: int
    rows: Iterator[Row]
    facts: dict[str, str] = field(default_factory=dict)


def open_table(file: BinaryIO, name: str, hints: Hints) -> AbstractContextManager[Table]:
    """The table in `file`, a seekable one. Raises FileRefused, also while its rows are read."""
    from provisioning.batches.files import csvfile, xlsxfile

    file.seek(0, 2)
    size = file.tell()
    file.seek(0)
    if size > MAX_BYTES:
        raise FileTooLarge(too_large(size))
    start = file.read(4)
    file.seek(0)
    ending = name.lower().rpartition(".")[2]
    if ending in {"xlsm", "xltm", "xlsb", "xlam"}:
        raise FileRefused(_("A workbook with macros is not read; save it as .xlsx without macros, or as .csv."))
    if start == _OLE or ending == "xls":
        raise FileRefused(_("This is an old or encrypted Excel file; save it as .xlsx without a password, or as .csv."))
    if start[:2] == _ZIP:
        return xlsxfile.open_xlsx(file)
    if ending in {"xlsx", "ods", "pdf", "doc", "docx", "zip", "gz", "7z"} or start == b"%PDF":
        raise FileRefused(_("This is no CSV and no XLSX file; export the table as one of them."))
    return csvfile.open_csv(file, hints)


def with_titles(rows: Iterator[Row], facts: dict[str, str]) -> Table:
    """The table of these rows: its titles are in the first line that knows two of ours, else in the first with any."""
    head: list[Row] = []
    for row in rows:
        if any(cell.text.strip() for cell in row[1]):
            head.append(row)
        if len(head) >= HEAD_ROWS:
            break
    if not head:
        raise FileRefused(_("The file is empty."))
    at = next((place for place, (_line, cells) in enumerate(head) if _known(cells) >= 2), 0)
    line, cells = head[at]
    titles = [" ".join(cell.text.split())[:MAX_TITLE] for cell in cells]
    while titles and not titles[-1]:
        titles.pop()
    return Table(titles, line, _bounded(head[at + 1 :], rows), facts)


def _known(cells: Sequence[Cell]) -> int:
    return sum(plain_title(cell.text[:MAX_TITLE]) in _GUESSES for cell in cells)


def _bounded(first: list[Row], rest: Iterator[Row]) -> Iterator[Row]:
    count = 0
    for source in (iter(first), rest):
        for line, cells in source:
            count += 1
            if count > MAX_ROWS:
                raise FileRefused(
                    _("The file has more than {limit} rows; divide it into several files.").format(limit=MAX_ROWS)
                )
            if any(cell.text for cell in cells):
                yield line, cells
