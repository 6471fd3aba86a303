"""The report of a batch as CSV: each row with its errors, and check values instead of keys."""

import csv
from collections.abc import Iterator
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


class _Line:
    """What csv writes to: it answers the line instead of keeping it."""

    def write(self, text: str) -> str:
        return text


def report(batch: Batch) -> Iterator[str]:
    """The lines of the report; a row with several errors has a line for each."""
    writer = csv.writer(_Line(), lineterminator="\r\n")
    yield "\ufeff" + str(writer.writerow(COLUMNS))
    for row in rows_of(batch).order_by("line").iterator(_CHUNK):
        for cells in _lines(row):
            yield str(writer.writerow([harmless(cell) for cell in cells]))


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
