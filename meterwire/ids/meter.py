"""Meter identifiers of DIN 43863-5 (now DIN 43849) and their OMS form (M and A field)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from meterwire.errors import IdentifierError

SECTORS: Mapping[str, str] = MappingProxyType(
    {
        "1": "electricity",
        "2": "electricity, direct current",
        "4": "heat cost allocator",
        "5": "cooling",
        "6": "heat",
        "7": "gas",
        "8": "cold water",
        "9": "hot water",
        "E": "communication device, gateway",
        "F": "other",
        "G": "control module, switching device",
    }
)
MAX_NUMBER = 99_999_999

# OMS device type to sector; the first one of a sector is what `oms()` writes.
_DEVICE_TYPES = {
    0x02: "1", 0x08: "4", 0x0A: "5", 0x0B: "5", 0x04: "6", 0x0C: "6", 0x0D: "6",
    0x03: "7", 0x07: "8", 0x16: "8", 0x06: "9", 0x15: "9",
}  # fmt: skip
_DEVICE_TYPE_OF: dict[str, int] = {}
for _type, _sector in _DEVICE_TYPES.items():
    _DEVICE_TYPE_OF.setdefault(_sector, _type)

_METER_ID = re.compile(r"([0-9A-Z])([A-Z]{3})([0-9A-F]{2})([0-9]{8})")


@dataclass(frozen=True, slots=True, order=True)
class MeterId:
    """One meter: sector (one character of SECTORS), maker (three FLAG letters), production block (0 to 255, shown in
    hex) and number (0 to 99 999 999). There is no check digit.
    """

    sector: str
    maker: str
    block: int
    number: int

    def __post_init__(self) -> None:
        if self.sector not in SECTORS:
            raise IdentifierError(f"sector '{self.sector[:4]}' is unknown; it is one of {' '.join(SECTORS)}")
        if not re.fullmatch("[A-Z]{3}", self.maker):
            raise IdentifierError(f"the maker is three letters A to Z, not '{self.maker[:8]}'")
        if not 0 <= self.block <= 0xFF or not 0 <= self.number <= MAX_NUMBER:
            raise IdentifierError("the production block is one byte and the number has at most eight decimal digits")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `1EMH0012345678` or, as printed, `1 EMH 00 1234 5678`. IdentifierError names the rule it breaks."""
        match = _METER_ID.fullmatch(text[:64].replace(" ", ""))
        if match is None:
            raise IdentifierError(
                f"'{text[:32]}' is no meter identifier: sector, three capital letters, two hex digits and"
                " eight decimal digits, as in 1 EMH 00 1234 5678"
            )
        return cls(match[1], match[2], int(match[3], 16), int(match[4]))

    @classmethod
    def from_oms(cls, m_field: bytes, a_field: bytes) -> Self:
        """From an OMS M-field (2 octets, low first) and A-field (6 octets).

        The version byte becomes the production block; that rule was seen on two makes only. IdentifierError.
        """
        if len(m_field) != 2 or len(a_field) != 6:
            raise IdentifierError("an OMS address has 2 bytes of M-field and 6 bytes of A-field")
        digits = a_field[3::-1].hex()
        sector = _DEVICE_TYPES.get(a_field[5])
        if not digits.isdecimal() or sector is None:
            raise IdentifierError("the OMS address has no decimal number or a device type without a DIN sector")
        return cls(sector, flag_letters(int.from_bytes(m_field, "little")), a_field[4], int(digits))

    @property
    def display(self) -> str:
        """As printed on the meter: `1 EMH 00 1234 5678`."""
        digits = f"{self.number:08d}"
        return f"{self.sector} {self.maker} {self.block:02X} {digits[:4]} {digits[4:]}"

    def server_id(self) -> bytes:
        """The 10-octet SML server id of type 0A."""
        head = bytes((0x0A, int(self.sector, 36)))
        return head + self.maker.encode() + bytes((self.block,)) + self.number.to_bytes(4, "big")

    def oms(self) -> tuple[bytes, bytes]:
        """(M-field 2 octets, A-field 6 octets) as on the air. IdentifierError where the sector has no device type."""
        device_type = _DEVICE_TYPE_OF.get(self.sector)
        if device_type is None:
            raise IdentifierError(f"sector {self.sector} ({SECTORS[self.sector]}) has no OMS device type")
        number = bytes.fromhex(f"{self.number:08d}")[::-1]
        return flag_number(self.maker).to_bytes(2, "little"), number + bytes((self.block, device_type))

    def lmn_server_id(self, wired: bool = False) -> bytes:
        """The 9-octet SML server id of an LMN meter: 01 wireless or 02 wired, M-field, A-field. IdentifierError."""
        m_field, a_field = self.oms()
        return bytes((2 if wired else 1,)) + m_field + a_field

    def __str__(self) -> str:
        return f"{self.sector}{self.maker}{self.block:02X}{self.number:08d}"


def flag_number(letters: str) -> int:
    """The 15-bit FLAG/DLMS number of three maker letters: EMH gives 0x15A8. IdentifierError."""
    if not re.fullmatch("[A-Z]{3}", letters):
        raise IdentifierError(f"a maker is three letters A to Z, not '{letters[:8]}'")
    first, second, third = (ord(letter) - 64 for letter in letters)
    return first << 10 | second << 5 | third


def flag_letters(number: int) -> str:
    """The three maker letters of a FLAG/DLMS number. IdentifierError for one that stands for no letters."""
    values = (number >> 10 & 31, number >> 5 & 31, number & 31)
    if not 0 <= number < 1 << 15 or not all(1 <= value <= 26 for value in values):
        raise IdentifierError(f"maker number 0x{number & 0xFFFFFFFF:04X} stands for no three letters")
    return "".join(chr(value + 64) for value in values)
