"""Frames of wired M-Bus (EN 13757-2): what a master asks, and the long frames in which meters answer."""

from dataclasses import dataclass
from typing import Final

from meterwire.errors import FormatError, LimitExceeded, ValueOutOfRange

ACKNOWLEDGED: Final = 0xE5
SHORT_START, LONG_START, STOP = 0x10, 0x68, 0x16
SHORT_LENGTH: Final = 5
OVERHEAD: Final = 6  # of a long frame, around what its length field counts
LEAST, MOST = 3, 255  # what the length field counts: C, A, CI and data
SELECTED, TEST, BROADCAST = 253, 254, 255

SND_NKE, SND_UD, REQ_UD2, RSP_UD = 0x40, 0x53, 0x5B, 0x08
FRAME_COUNT_BIT: Final = 0x20  # toggled by the master with each new request
ANSWERS: Final = frozenset((0x08, 0x18, 0x28, 0x38))  # RSP_UD with access demand and flow control bits
SELECT: Final = 0x52  # CI-field


@dataclass(frozen=True, slots=True)
class LongFrame:
    """`upper` begins at the CI-field."""

    control: int
    address: int
    upper: bytes

    def encode(self) -> bytes:
        """LimitExceeded for more than the length field counts."""
        body = bytes((self.control, self.address)) + self.upper
        if not LEAST <= len(body) <= MOST:
            raise LimitExceeded(f"an M-Bus frame counts {LEAST} to {MOST} bytes, not {len(body)}")
        head = bytes((LONG_START, len(body), len(body), LONG_START))
        return head + body + bytes((checksum(body), STOP))


def decode_long(frame: bytes) -> LongFrame:
    """FormatError for a wrong start, length, checksum or end."""
    if len(frame) < OVERHEAD + LEAST or frame[0] != LONG_START or frame[3] != LONG_START or frame[-1] != STOP:
        raise FormatError("no long M-Bus frame: it begins with 68 L L 68 and ends with 16")
    if frame[1] != frame[2] or frame[1] != len(frame) - OVERHEAD:
        raise FormatError("the two length fields of an M-Bus frame disagree, or it was cut off")
    body = frame[4:-2]
    if checksum(body) != frame[-2]:
        raise FormatError("the checksum of an M-Bus frame does not fit; check line and level converter")
    return LongFrame(body[0], body[1], body[2:])


def short(control: int, address: int) -> bytes:
    """A request without data to `address` (0 to 255). ValueOutOfRange."""
    if not 0 <= address <= BROADCAST:
        raise ValueOutOfRange(f"M-Bus addresses run from 0 to {BROADCAST}, not {address}")
    body = bytes((control, address))
    return bytes((SHORT_START,)) + body + bytes((checksum(body), STOP))


def decode_short(frame: bytes) -> tuple[int, int]:
    """(control, address) of a short frame. FormatError."""
    if len(frame) != SHORT_LENGTH or frame[0] != SHORT_START or frame[-1] != STOP:
        raise FormatError("no short M-Bus frame: it has five bytes, 10 first and 16 last")
    if checksum(frame[1:3]) != frame[3]:
        raise FormatError("the checksum of a short M-Bus frame does not fit")
    return frame[1], frame[2]


def checksum(body: bytes) -> int:
    """The sum of all octets from the control field on, modulo 256."""
    return sum(body) & 0xFF
