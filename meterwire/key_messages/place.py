"""Where a key belongs in an adapter, in one byte, and what became of a request."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from meterwire.errors import FormatError, ValueOutOfRange


class KeyPurpose(IntEnum):
    """Bits 7-4 of a place; the names in small letters are those of the hand-over file and of the portal."""

    INNER = 1
    LMN = 2
    CONTROL_UP = 3
    CONTROL_DOWN = 4
    GROUP_CONTROL = 5
    TRANSPORT = 6
    METER = 7


class Result(IntEnum):
    """What an adapter made of a request; all but STORED refuse it."""

    STORED = 0
    WRONG_CHECK_VALUE = 1
    SLOT_TAKEN = 2
    VALIDITY_OVER = 3
    CANNOT_BE_STORED = 4
    PURPOSE_UNKNOWN = 5
    OLD_SEQUENCE = 6
    CURVE_UNKNOWN = 7

    @classmethod
    def of(cls, octet: int) -> Self:
        """FormatError for a result that is not known."""
        try:
            return cls(octet)
        except ValueError:
            raise FormatError(f"{octet} is no result of a key message that is known here") from None


@dataclass(frozen=True, slots=True)
class Place:
    """`purpose` is a KeyPurpose, or 8 to 15 for one that this release does not know; `slot` is 0 to 7 (the input of a
    meter's key); `tag_length` is that of the key, 4 or 8 bytes. ValueOutOfRange.
    """

    purpose: int
    slot: int
    tag_length: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.purpose <= 15:
            raise ValueOutOfRange(f"the purpose of a key is 1 to 15, not {self.purpose}")
        if not 0 <= self.slot <= 7:
            raise ValueOutOfRange(f"key slots run from 0 to 7, not {self.slot}")
        if self.tag_length not in (4, 8):
            raise ValueOutOfRange(f"an inner tag has 4 or 8 bytes, not {self.tag_length}")

    @property
    def octet(self) -> int:
        """Bits 7-4 purpose, bit 3 set for a tag of 8 bytes, bits 2-0 slot."""
        return self.purpose << 4 | (self.tag_length == 8) << 3 | self.slot

    @classmethod
    def of(cls, octet: int) -> Self:
        """FormatError for purpose 0."""
        if octet < 0x10:
            raise FormatError(f"0x{octet:02x} names no place of a key: its purpose is 0")
        purpose = octet >> 4
        known = KeyPurpose(purpose) if purpose in KeyPurpose.__members__.values() else purpose
        return cls(known, octet & 7, 8 if octet & 8 else 4)
