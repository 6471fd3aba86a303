"""The report of a batch as CSV: each row with its errors, and check values instead of keys."""

import csv
from collections.abc import Iterator
from io import StringIO
from typing import Final

from provisioning.batches.models import Batch, BatchRow
from provisioning.batches.queries import rows_of

COLUMNS: Final = (
    "line",
    "state",
    "dev_eui",
    "serial",
    "root_key_check_value",
    "inner_key_check_values",
    "column",
    "error",
    "message",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "|", "%")
_CHUNK = 1000


def report(batch: Batch) -> Iterator[str]:
    """The report, some thousand lines at a time; a row with several errors has a line for each."""
    out = StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    out.write("\ufeff")
    writer.writerow(COLUMNS)
    line = -1
    while rows := list(rows_of(batch).filter(line__gt=line).order_by("line")[:_CHUNK]):
        for row in rows:
            writer.writerows([harmless(cell) for cell in cells] for cells in _lines(row))
        line = rows[-1].line
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    if line < 0:
        yield out.getvalue()


def harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _lines(row: BatchRow) -> Iterator[list[str]]:
    checks: dict[str, list[str]] = {}
    for key in row.keys:
        checks.setdefault(key["purpose"], []).append(key["check_value"].upper())
    start = [
        str(row.line),
        row.state,
        row.dev_eui.upper(),
        row.values.get("serial", ""),
        " ".join(checks.get("root", [])),
        " ".join(checks.get("inner", [])),
    ]
    for error in row.errors or [{"column": "", "code": "", "message": ""}]:
        yield [*start, error["column"], error["code"], error["message"]]
