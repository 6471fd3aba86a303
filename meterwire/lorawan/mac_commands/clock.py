"""The time of day from the network (TS001-1.0.4 section 5)."""

from dataclasses import dataclass

from meterwire.lorawan.mac_commands.base import MacCommand, bounded


@dataclass(frozen=True, slots=True)
class DeviceTimeReq(MacCommand):
    cid, uplink = 0x0D, True


@dataclass(frozen=True, slots=True)
class DeviceTimeAns(MacCommand):
    """GPS time of the end of the uplink that asked: `seconds` (32 bits) and `fraction` in 1/256 s, see gpstime."""

    seconds: int
    fraction: int

    cid, uplink, length = 0x0D, False, 5

    def payload(self) -> bytes:
        seconds = bounded("seconds", self.seconds, 0xFFFFFFFF).to_bytes(4, "little")
        return seconds + bytes((bounded("fraction", self.fraction, 255),))

    @classmethod
    def from_payload(cls, octets: bytes) -> "DeviceTimeAns":
        return cls(int.from_bytes(octets[:4], "little"), octets[4])

    @classmethod
    def at(cls, gps_s: float) -> "DeviceTimeAns":
        """The answer that tells `gps_s`, cut to 1/256 s."""
        ticks = int(gps_s * 256)
        return cls(ticks // 256, ticks % 256)

    @property
    def gps_s(self) -> float:
        return self.seconds + self.fraction / 256
