"""SNTP as octets (RFC 5905 section 7.3 and 14, RFC 4330): the question of a client and the answer of a server.

The client's time stays out of the question: its transmit timestamp is 64 random bits, which the answer must repeat, so
that somebody who does not see the question cannot forge an answer.
"""

import struct
from dataclasses import dataclass
from typing import Final, Self

from meterwire.errors import FormatError

PORT: Final = 123
VERSION: Final = 4
LENGTH: Final = 48
COOKIE_LENGTH: Final = 8
MAX_STRATUM: Final = 15
UNSYNCHRONISED: Final = 3  # leap indicator
_CLIENT, _SERVER = 3, 4
_LAYOUT: Final = struct.Struct(">BBbbII4sQQQQ")
_TO_UNIX: Final = 2_208_988_800  # from 1900 to 1970
_ERA: Final = 1 << 32


class KissOfDeath(FormatError):
    """The server does not want to be asked so: `code` is its word (RATE, DENY, RSTR ...)."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the time server refuses: {code}")
        self.code_word = code


@dataclass(frozen=True, slots=True)
class Answer:
    """`received` and `sent` are the server's Unix times; `root_delay` and `root_dispersion` its own distance from the
    reference, in seconds; `leap` 0, or 1 (a second is inserted at the end of this day, UTC) or 2 (one is left out).
    """

    leap: int
    stratum: int
    root_delay: float
    root_dispersion: float
    received: float
    sent: float

    @property
    def root_distance(self) -> float:
        """Seconds that the server itself may be wrong by."""
        return self.root_delay / 2 + self.root_dispersion

    @classmethod
    def decode(cls, datagram: bytes, cookie: bytes) -> Self:
        """Raises FormatError for what is no answer to the question with this cookie, KissOfDeath for a refusal."""
        if len(datagram) < LENGTH:
            raise FormatError(f"an NTP packet has at least {LENGTH} octets, not {len(datagram)}")
        first, stratum, _, _, delay, dispersion, reference, _, origin, received, sent = _LAYOUT.unpack(
            datagram[:LENGTH]
        )
        if first & 7 != _SERVER or not 3 <= first >> 3 & 7 <= VERSION:
            raise FormatError("no NTP server's answer of version 3 or 4")
        if origin.to_bytes(COOKIE_LENGTH, "big") != cookie:
            raise FormatError("an NTP answer to another question")
        if stratum == 0 and reference.isalnum():
            raise KissOfDeath(reference.decode("ascii", "replace"))
        if first >> 6 == UNSYNCHRONISED or not 1 <= stratum <= MAX_STRATUM or not received or not sent:
            raise FormatError("the time server is not synchronised itself")
        times = _unix(received), _unix(sent)
        if times[1] < times[0]:
            raise FormatError("a time server that sends before it receives")
        return cls(first >> 6, stratum, delay / 65_536, dispersion / 65_536, *times)


def question(cookie: bytes) -> bytes:
    """The datagram that asks; `cookie`: COOKIE_LENGTH random octets."""
    if len(cookie) != COOKIE_LENGTH:
        raise FormatError(f"the cookie has {COOKIE_LENGTH} octets, not {len(cookie)}")
    return bytes((VERSION << 3 | _CLIENT,)) + bytes(LENGTH - 1 - COOKIE_LENGTH) + cookie


def _unix(stamp: int) -> float:
    """Of the era that fits: a stamp with its highest bit clear lies after February 2036 (RFC 4330 section 3)."""
    seconds, fraction = divmod(stamp, _ERA)
    return seconds - _TO_UNIX + (0 if seconds >> 31 else _ERA) + fraction / _ERA
