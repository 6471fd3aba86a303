"""Makes a supplier's file of adapters with random keys: CSV or XLSX, as many rows as wanted."""

import csv
import io
import random
from collections.abc import Iterator, Mapping, Sequence

from openpyxl import Workbook

TITLES = ("Device EUI", "App EUI", "AppKey", "Inner Key", "Claim Token", "Serial No.", "Remark")
MAPPING: Mapping[str, str] = {
    "dev_eui": "Device EUI",
    "join_eui": "App EUI",
    "root_key": "AppKey",
    "inner_key": "Inner Key",
    "owner_token": "Claim Token",
    "serial": "Serial No.",
    "location": "Remark",
}
JOIN_EUI = "70B3D57ED0000001"


def adapters(count: int, *, first: int = 0x70B3D57ED2000000, seed: int = 1) -> Iterator[list[str]]:
    """Rows under TITLES: consecutive DevEUIs, keys from the seed."""
    chance = random.Random(seed)
    for number in range(count):
        yield [
            f"{first + number:016X}",
            JOIN_EUI,
            f"{chance.getrandbits(128):032X}",
            f"{chance.getrandbits(128):032X}",
            "".join(chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=26)),
            f"SN-{seed:02d}-{number:06d}",
            "",
        ]


def csv_file(
    rows: Sequence[Sequence[str]] | Iterator[Sequence[str]],
    titles: Sequence[str] = TITLES,
    *,
    delimiter: str = ";",
    encoding: str = "utf-8",
) -> io.BytesIO:
    """The rows below their titles."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(titles)
    writer.writerows(rows)
    return io.BytesIO(text.getvalue().encode(encoding))


def xlsx_file(
    rows: Sequence[Sequence[object]] | Iterator[Sequence[object]], titles: Sequence[str] = TITLES
) -> io.BytesIO:
    """The same as a workbook."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Delivery")
    sheet.append(list(titles))
    for row in rows:
        sheet.append(list(row))
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    return file
