"""CSV: finds out encoding and delimiter, and reads row by row with the line on which each begins."""

import codecs
import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from django.utils.translation import gettext as _

from provisioning.batches.cells import Cell
from provisioning.batches.errors import FileRefused
from provisioning.batches.files.table import Hints, Row, Table, with_titles
from provisioning.batches.limits import MAX_COLUMNS

DELIMITERS: Final = ",;\t|"
ENCODINGS: Final = ("utf-8", "utf-16", "cp1252")
MAX_FIELD: Final = 20_000
OPEN_QUOTE = "open_quote"

_BLOCK = 1 << 16
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@contextmanager
def open_csv(file: BinaryIO, hints: Hints) -> Iterator[Table]:
    """The table of a text file. FileRefused for one that is no text."""
    encoding = _encoding(file, hints.encoding)
    file.seek(0)
    text = io.TextIOWrapper(file, encoding=encoding, newline="")
    try:
        first = text.readline(_BLOCK)
        named = first[4:5] if first[:4].lower() == "sep=" and first[4:5] in DELIMITERS else ""
        sample = text.readline(_BLOCK) if named else first
        delimiter = named or _delimiter(sample, hints.delimiter)
        text.seek(0)
        if named:
            text.readline()
        shown = {"\t": "tab"}.get(delimiter, delimiter)
        facts = {"format": "CSV", "encoding": encoding.removesuffix("-sig"), "delimiter": shown}
        yield with_titles(_rows(text, delimiter, offset=1 if named else 0), facts)
    except UnicodeError:
        raise FileRefused(
            _("The file is not written in {encoding}; save it as CSV UTF-8.").format(encoding=encoding)
        ) from None
    finally:
        text.detach()


def _rows(text: io.TextIOWrapper, delimiter: str, offset: int) -> Iterator[Row]:
    csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(text, delimiter=delimiter)
    before = 0
    try:
        for fields in reader:
            line, before = before + 1, reader.line_num
            if len(fields) > MAX_COLUMNS:
                raise FileRefused(
                    _("Line {line} has more than {limit} columns; the delimiter may be another one.").format(
                        line=line + offset, limit=MAX_COLUMNS
                    )
                )
            flaw = OPEN_QUOTE if reader.line_num > line else ""
            yield line + offset, [Cell(item, flaw) for item in fields]
    except csv.Error:
        raise FileRefused(
            _("Line {line} cannot be read: a cell is too long, or a quotation mark is not closed.").format(
                line=before + 1 + offset
            )
        ) from None


def _encoding(file: BinaryIO, hint: str) -> str:
    start = file.read(_BLOCK)
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    even, odd = start[0:2000:2].count(0), start[1:2000:2].count(0)
    if even or odd:
        most = max(even, odd)
        if most < 4 * min(even, odd) or most * 4 < len(start[:2000]) // 2:
            raise FileRefused(_("This is no text file; export the table as CSV or XLSX."))
        return "utf-16-be" if even > odd else "utf-16-le"
    if _reads_as(file, "utf-8"):
        return "utf-8"
    if _reads_as(file, hint or "cp1252"):
        return hint or "cp1252"
    raise FileRefused(_("The file is neither UTF-8 nor UTF-16 nor Windows-1252; save it as CSV UTF-8."))


def _reads_as(file: BinaryIO, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    file.seek(0)
    try:
        while block := file.read(_BLOCK):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


def _delimiter(line: str, hint: str) -> str:
    """The sign that parts the first line most often, outside quotation marks."""
    outside = "".join(line.split('"')[::2])
    if hint and hint in outside:
        return hint
    counts = {sign: outside.count(sign) for sign in DELIMITERS}
    best = max(counts, key=lambda sign: counts[sign])
    return best if counts[best] else hint or ","
