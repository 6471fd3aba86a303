"""The link layer of wireless M-Bus (EN 13757-4): frame formats A and B, and frames whose checks a receiver removed."""

from dataclasses import dataclass
from typing import Final

from meterwire.errors import FormatError, LimitExceeded
from meterwire.wmbus import crc
from meterwire.wmbus.address import Address
from meterwire.wmbus.crc import crc as crc_of

HEAD: Final = 10  # L, C, M and A
MAX_LENGTH: Final = 255  # of what L counts
BLOCK: Final = 16
FIRST_PART: Final = 126  # of a format B frame with two checks, without the first of them
CONTROLS: Final = frozenset((0x44, 0x46, 0x08, 0x18, 0x28, 0x38, 0x47, 0x48))  # what meters send


@dataclass(frozen=True, slots=True)
class LinkFrame:
    """`upper` begins at the first CI-field."""

    control: int
    address: Address
    upper: bytes

    def encode(self) -> bytes:
        """The frame without checks. LimitExceeded."""
        body = bytes((self.control,)) + self.address.link + self.upper
        if len(body) > MAX_LENGTH:
            raise LimitExceeded(f"a frame of {len(body)} bytes; L counts at most {MAX_LENGTH}")
        return bytes((len(body),)) + body


def decode_link(frame: bytes) -> LinkFrame:
    """A frame without checks, from L to its end. FormatError."""
    if len(frame) < HEAD + 1 or frame[0] != len(frame) - 1:
        raise FormatError(f"a wireless M-Bus frame of {len(frame)} bytes whose length field does not fit")
    if frame[1] not in CONTROLS:
        raise FormatError(f"control field 0x{frame[1]:02x} is none that meters send")
    return LinkFrame(frame[1], Address.of_link(frame[2:HEAD]), frame[HEAD:])


def length_a(counted: int) -> int:
    """Octets on the air of a format A frame whose L is `counted`: a check after the head and after each block."""
    rest = max(0, counted + 1 - HEAD)
    return counted + 1 + crc.LENGTH * (1 + -(-rest // BLOCK))


def from_a(frame: bytes) -> bytes:
    """A format A frame without its checks. FormatError for a wrong length or check."""
    if not frame or len(frame) != length_a(frame[0]) or frame[0] < HEAD:
        raise FormatError(f"a format A frame of {len(frame)} bytes whose length field does not fit")
    found, place = bytearray(), 0
    while place < len(frame):
        size = min(BLOCK if place else HEAD, len(frame) - place - crc.LENGTH)
        found += _checked(frame[place : place + size], frame[place + size : place + size + crc.LENGTH])
        place += size + crc.LENGTH
    return bytes(found)


def from_b(frame: bytes) -> bytes:
    """A format B frame without its checks, its L counting them no more. FormatError for a wrong length or check."""
    if len(frame) < HEAD + 1 + crc.LENGTH or frame[0] != len(frame) - 1:
        raise FormatError(f"a format B frame of {len(frame)} bytes whose length field does not fit")
    cut = len(frame) - crc.LENGTH if len(frame) <= FIRST_PART + crc.LENGTH else FIRST_PART
    body = _checked(frame[:cut], frame[cut : cut + crc.LENGTH])
    rest = frame[cut + crc.LENGTH :]
    if rest:
        body += _checked(rest[: -crc.LENGTH], rest[-crc.LENGTH :])
    return bytes((len(body) - 1,)) + body[1:]


def to_a(frame: bytes) -> bytes:
    """A frame without checks in format A."""
    blocks = [frame[:HEAD], *(frame[at : at + BLOCK] for at in range(HEAD, len(frame), BLOCK))]
    return b"".join(block + crc_of(block) for block in blocks)


def to_b(frame: bytes) -> bytes:
    """A frame without checks in format B. LimitExceeded where L cannot count the checks too."""
    one_check = len(frame) <= FIRST_PART
    counted = len(frame) - 1 + crc.LENGTH * (1 if one_check else 2)
    if counted > MAX_LENGTH:
        raise LimitExceeded(f"a frame of {len(frame)} bytes is too long for format B")
    frame = bytes((counted,)) + frame[1:]
    parts = [frame] if one_check else [frame[:FIRST_PART], frame[FIRST_PART:]]
    return b"".join(part + crc_of(part) for part in parts)


def _checked(data: bytes, check: bytes) -> bytes:
    if not data or crc_of(data) != check:
        raise FormatError("the checksum of a wireless M-Bus frame does not fit")
    return data
