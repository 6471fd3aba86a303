"""The beacon that a concentrator may send in a reserved slot: when it began, for every device that listens [0150].

A proprietary LoRaWAN frame without MIC, as class B's: it is for everybody, so no key could authenticate it. Whoever
listens may let it correct a clock only within the error expected of that anyway.
"""

import binascii
import struct
from dataclasses import dataclass
from typing import Final, Self

from meterwire.clock_package import ClockQuality
from meterwire.errors import FormatError

MHDR: Final = 0xE0  # MType proprietary, LoRaWAN R1
KIND: Final = 0xB1
LENGTH: Final = 16
MAX_UNCERTAINTY_MS: Final = 0xFF
_LAYOUT: Final = struct.Struct(">BB4s6sBB")


@dataclass(frozen=True, slots=True)
class Beacon:
    """`concentrator`: the last four octets of its EUI. `gps_ms`: GPS time at the start of the frame, milliseconds.

    GPS time, since slots are counted evenly through leap seconds.
    """

    concentrator: bytes
    gps_ms: int
    uncertainty_ms: int
    quality: ClockQuality
    leap_soon: bool = False

    def encode(self) -> bytes:
        """16 bytes, a whole PHYPayload. Raises FormatError for a value that does not fit."""
        if len(self.concentrator) != 4 or not 0 <= self.gps_ms < 1 << 48:
            raise FormatError("a beacon names its concentrator by 4 octets and GPS time by 48 bits of milliseconds")
        if not 0 <= self.uncertainty_ms <= MAX_UNCERTAINTY_MS:
            raise FormatError(f"a beacon's uncertainty is 0 to {MAX_UNCERTAINTY_MS} ms, not {self.uncertainty_ms}")
        flags = self.quality | self.leap_soon << 7
        body = _LAYOUT.pack(MHDR, KIND, self.concentrator, self.gps_ms.to_bytes(6, "big"), self.uncertainty_ms, flags)
        return body + _check(body)

    @classmethod
    def decode(cls, phy: bytes) -> Self:
        """Raises FormatError for any other frame and for a damaged one: downlinks carry no CRC of the radio's."""
        if len(phy) != LENGTH or phy[0] != MHDR or phy[1] != KIND:
            raise FormatError("no beacon of ours")
        if phy[-2:] != _check(phy[:-2]):
            raise FormatError("a damaged beacon: its check value does not fit")
        _, _, concentrator, gps_ms, uncertainty, flags = _LAYOUT.unpack(phy[:-2])
        if flags & 0x7F > ClockQuality.GPS:
            raise FormatError(f"clock quality {flags & 0x7F} does not exist")
        return cls(
            concentrator, int.from_bytes(gps_ms, "big"), uncertainty, ClockQuality(flags & 0x7F), bool(flags & 0x80)
        )


def _check(body: bytes) -> bytes:
    """CRC-16/XMODEM, as in class B's beacons."""
    return binascii.crc_hqx(body, 0).to_bytes(2, "big")
