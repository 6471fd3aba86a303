"""Data records (EN 13757-3): what a meter says, each with its header (DIF, VIF and their extensions) and its data."""

import struct
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from meterwire.errors import FormatError, LimitExceeded

MAX_EXTENSIONS: Final = 10  # DIFE, and VIFE, of one record
MAX_RECORDS: Final = 255
FILL: Final = 0x2F
MAKERS_OWN: Final = frozenset((0x0F, 0x1F))  # from here on the maker's own; 1F: the next telegram has more records
PLAIN_TEXT_VIF: Final = 0x7C
INSTANTANEOUS: Final = 0
_SIZES: Final = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 4, 6: 6, 7: 8, 8: 0, 9: 1, 10: 2, 11: 3, 12: 4, 14: 6}
_REAL, _VARIABLE, _SPECIAL, _BCD_FROM = 5, 13, 15, 9


@dataclass(frozen=True, slots=True)
class Record:
    """`vif` is the value information field with its extensions, extension bits included; `data` as it came.

    `coding` is the lower half of the DIF; `function` 0 instantaneous, 1 maximum, 2 minimum, 3 during an error.
    """

    coding: int
    function: int
    storage: int
    tariff: int
    subunit: int
    vif: bytes
    data: bytes

    @property
    def number(self) -> Decimal | None:
        """The number as sent, without the power of ten that the VIF gives it; None where the data is none."""
        if not self.data or self.coding == _VARIABLE:
            return None
        if self.coding == _REAL:
            [real] = struct.unpack("<f", self.data)
            value = Decimal(real)
            return value if value.is_finite() else None
        if self.coding >= _BCD_FROM:
            return _bcd(self.data)
        return Decimal(int.from_bytes(self.data, "little", signed=True))

    @property
    def exact(self) -> bool:
        """Whether the last digit of `number` tells the resolution."""
        return self.coding != _REAL


def decode_records(octets: bytes) -> tuple[Record, ...]:
    """All records in order, up to the maker's own data. FormatError (LimitExceeded) for cut or endless ones."""
    found: list[Record] = []
    place = 0
    while place < len(octets):
        dif = octets[place]
        if dif == FILL:
            place += 1
            continue
        if dif in MAKERS_OWN:
            break
        if dif & 15 == _SPECIAL:
            raise FormatError(f"the data record begins with the reserved code 0x{dif:02x}")
        if len(found) == MAX_RECORDS:
            raise LimitExceeded(f"a telegram of more than {MAX_RECORDS} records")
        record, place = _record(octets, place)
        found.append(record)
    return tuple(found)


def _record(octets: bytes, place: int) -> tuple[Record, int]:
    dif = octets[place]
    storage, tariff, subunit = dif >> 6 & 1, 0, 0
    extensions, place = _extended(octets, place)
    for count, extension in enumerate(extensions[1:]):
        storage |= (extension & 15) << 4 * count + 1
        tariff |= (extension >> 4 & 3) << 2 * count
        subunit |= (extension >> 6 & 1) << count
    vif, place = _vif(octets, place)
    size, place = _size(dif & 15, octets, place)
    if place + size > len(octets):
        raise FormatError(f"a data record is cut off: {len(octets) - place} of {size} bytes")
    return Record(dif & 15, dif >> 4 & 3, storage, tariff, subunit, vif, octets[place : place + size]), place + size


def _extended(octets: bytes, place: int) -> tuple[bytes, int]:
    """A field and its extensions, and the place behind them."""
    end = place
    while end < len(octets) and octets[end] & 0x80:
        end += 1
        if end - place > MAX_EXTENSIONS:
            raise LimitExceeded(f"a field with more than {MAX_EXTENSIONS} extensions")
    if end >= len(octets):
        raise FormatError("the header of a data record is cut off")
    return octets[place : end + 1], end + 1


def _vif(octets: bytes, place: int) -> tuple[bytes, int]:
    """The field with its extensions; a unit in plain text stands between them and is left out."""
    if place < len(octets) and octets[place] & 0x7F == PLAIN_TEXT_VIF:
        text = place + 1
        if text >= len(octets) or text + 1 + octets[text] > len(octets):
            raise FormatError("the unit of a data record is cut off")
        end = text + 1 + octets[text]
        if not octets[place] & 0x80:
            return octets[place:text], end
        extensions, end = _extended(octets, end)
        return octets[place:text] + extensions, end
    return _extended(octets, place)


def _size(coding: int, octets: bytes, place: int) -> tuple[int, int]:
    """(octets of the data, where they begin)."""
    if coding != _VARIABLE:
        return _SIZES[coding], place
    if place >= len(octets):
        raise FormatError("a data record of variable length is cut off")
    length = octets[place]
    if length < 0xC0:
        return length, place + 1
    if length < 0xF0:  # C0 to CF positive decimals, D0 to DF negative ones, E0 to EF binary numbers
        return length & 15, place + 1
    raise FormatError(f"the length code 0x{length:02x} of a data record is reserved")


def _bcd(data: bytes) -> Decimal | None:
    digits = data[::-1].hex()
    sign = ""
    if digits[0] == "f":  # a minus in the place of the highest digit
        sign, digits = "-", digits[1:]
    return Decimal(sign + digits) if digits.isdecimal() else None
