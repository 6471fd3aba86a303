"""The modules of a QR code, and runs of dark ones for whoever draws them."""

from collections.abc import Iterator
from typing import Any

from qrcode.constants import ERROR_CORRECT_M, ERROR_CORRECT_Q
from qrcode.main import QRCode

QUIET = 4  # light modules around the code (ISO/IEC 18004)
ROBUST_UP_TO = 120  # characters that still make a small code with the stronger error correction


def matrix(text: str) -> list[list[bool]]:
    """True is dark; without the quiet zone. Capital letters, digits and colons take the compact alphanumeric mode."""
    level = ERROR_CORRECT_Q if len(text) <= ROBUST_UP_TO else ERROR_CORRECT_M
    code: QRCode[Any] = QRCode(error_correction=level, border=0)
    code.add_data(text)
    code.make(fit=True)
    return [[bool(module) for module in row] for row in code.get_matrix()]


def runs(modules: list[list[bool]]) -> Iterator[tuple[int, int, int]]:
    """(column, row, length) of each horizontal run of dark modules."""
    for y, row in enumerate(modules):
        x = 0
        while x < len(row):
            start = x
            while x < len(row) and row[x]:
                x += 1
            if x > start:
                yield start, y, x - start
            x += 1
