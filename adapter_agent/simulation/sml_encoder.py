"""Writes SML as meters push it: values, messages with their checksums, and the transport frame around them.

SML 1.04 (BSI TR-03109-1, annex IV-b of the wired LMN). Independent of our decoder on purpose: the two judge each
other in the tests.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final

ABSENT: Final = b"\x01"
END_OF_MESSAGE: Final = b"\x00"
START: Final = bytes.fromhex("1b1b1b1b01010101")
ESCAPE: Final = bytes.fromhex("1b1b1b1b")
END: Final = ESCAPE + b"\x1a"

OPEN_RESPONSE: Final = 0x0101
CLOSE_RESPONSE: Final = 0x0201
GET_LIST_RESPONSE: Final = 0x0701

_OCTETS, _SIGNED, _UNSIGNED, _LIST = 0x00, 0x50, 0x60, 0x70


class Checksum(Enum):
    """The two kinds of CRC-16 in the field: X.25 low octet first, KERMIT high octet first on the wire."""

    X25 = "x25"
    KERMIT = "kermit"

    def of(self, data: bytes) -> bytes:
        """The two octets as sent."""
        crc = 0xFFFF if self is Checksum.X25 else 0
        for octet in data:
            crc = crc >> 8 ^ _TABLE[(crc ^ octet) & 0xFF]
        return (crc ^ 0xFFFF).to_bytes(2, "little") if self is Checksum.X25 else crc.to_bytes(2, "big")


def octets(value: bytes | None) -> bytes:
    """An octet string; None is an absent value."""
    return ABSENT if value is None else _tag(_OCTETS, len(value), counts_itself=True) + value


def unsigned(value: int, width: int | None = None) -> bytes:
    """An unsigned number of `width` octets, or of as few as hold it. OverflowError when it does not fit."""
    size = width or max(1, (value.bit_length() + 7) // 8)
    return _tag(_UNSIGNED, size, counts_itself=True) + value.to_bytes(size, "big")


def signed(value: int, width: int | None = None) -> bytes:
    """A two's complement number of `width` octets, or of as few as hold it. OverflowError when it does not fit."""
    size = width or ((value + (value < 0)).bit_length() + 8) // 8
    return _tag(_SIGNED, size, counts_itself=True) + value.to_bytes(size, "big", signed=True)


def unsigned_as_signed(value: int) -> bytes:
    """What DZG's DVS74 does to power: a positive number in as few octets as an unsigned one, tagged as signed.

    Readers must take one to three octets as unsigned, so a negative number goes out in four.
    """
    if value < 0:
        return signed(value, 4)
    size = max(1, (value.bit_length() + 7) // 8)
    return _tag(_SIGNED, size, counts_itself=True) + value.to_bytes(size, "big")


def sequence(items: Sequence[bytes]) -> bytes:
    """A list of values that are encoded already."""
    return _tag(_LIST, len(items), counts_itself=False) + b"".join(items)


def message(
    transaction: bytes,
    kind: int,
    body: bytes,
    checksum: Checksum = Checksum.X25,
    *,
    kind_width: int = 2,
    shortened_checksum: bool = False,
) -> bytes:
    """One message: `kind` is the body's tag (GET_LIST_RESPONSE and so on), `kind_width` its octets.

    `shortened_checksum` leaves out the checksum's first octet where it is zero, as ISKRA meters do.
    """
    head = b"\x76" + octets(transaction) + unsigned(0) + unsigned(0) + sequence((unsigned(kind, kind_width), body))
    crc = checksum.of(head)
    number = unsigned(int.from_bytes(crc, "big"), None if shortened_checksum else 2)
    return head + number + END_OF_MESSAGE


def transport(messages: bytes, checksum: Checksum = Checksum.X25) -> bytes:
    """The frame on the wire: start, messages with escapes doubled, fill octets to a multiple of four, end, CRC."""
    escaped = messages.replace(ESCAPE, ESCAPE + ESCAPE)
    fill = -len(escaped) % 4
    frame = START + escaped + bytes(fill) + END + bytes((fill,))
    return frame + checksum.of(frame)


def _tag(kind: int, count: int, *, counts_itself: bool) -> bytes:
    """Tag-length octets: four bits of length each, the last one without the high bit. Lists count elements only."""
    size = 1
    while (count + size * counts_itself) >> (4 * size):
        size += 1
    total = count + size * counts_itself
    nibbles = [total >> 4 * place & 0x0F for place in range(size - 1, -1, -1)]
    nibbles[0] |= kind
    return bytes(nibble | (0x80 if place < size - 1 else 0) for place, nibble in enumerate(nibbles))


def _table() -> tuple[int, ...]:
    entries = []
    for index in range(256):
        crc = index
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
        entries.append(crc)
    return tuple(entries)


_TABLE = _table()
