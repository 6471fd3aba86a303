"""MAC commands of a LoRaWAN 1.0.4 class A device, both ways (TS001-1.0.4 section 5).

One class per command and direction, named as the specification does; `parse_commands` and `encode_commands` handle the
stream in FOpts or on port 0. Reserved bits are ignored when read and zero when written.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

from meterwire.errors import FormatError
from meterwire.lorawan.frame import MAX_FREQUENCY_HZ

MAX_STREAM: Final = 242  # the largest port 0 payload of any data rate


class MacCommandError(FormatError):
    """A field of a MAC command is outside its range, or a command stream is too long."""

    code: ClassVar[str] = "mac_command"


@dataclass(frozen=True, slots=True)
class MacCommand:
    """Base of all commands. CID, direction and payload length belong to the class; most carry no payload."""

    cid: ClassVar[int]
    uplink: ClassVar[bool]
    length: ClassVar[int] = 0

    def payload(self) -> bytes:
        """The octets after the CID. Raises MacCommandError when a field is outside its range."""
        return b""

    @classmethod
    def from_payload(cls, octets: bytes) -> "MacCommand":
        """The command in exactly `length` octets."""
        return cls()

    def encode(self) -> bytes:
        return bytes((self.cid,)) + self.payload()


@dataclass(frozen=True, slots=True)
class LinkCheckReq(MacCommand):
    cid, uplink = 0x02, True


@dataclass(frozen=True, slots=True)
class LinkCheckAns(MacCommand):
    """`margin`: dB above the demodulation floor at the best gateway, 0 to 254; `gateways`: how many heard it."""

    margin: int
    gateways: int

    cid, uplink, length = 0x02, False, 2

    def payload(self) -> bytes:
        return bytes((_bounded("margin", self.margin, 254), _bounded("gateways", self.gateways, 255)))

    @classmethod
    def from_payload(cls, octets: bytes) -> "LinkCheckAns":
        return cls(octets[0], octets[1])


@dataclass(frozen=True, slots=True)
class LinkADRReq(MacCommand):
    """`data_rate` and `tx_power` 15 keep what is set; bit 0 of `ch_mask` is the first channel; `nb_trans` 0 to 15."""

    data_rate: int
    tx_power: int
    ch_mask: int
    ch_mask_cntl: int = 0
    nb_trans: int = 1

    cid, uplink, length = 0x03, False, 4

    def payload(self) -> bytes:
        first = _nibbles(("data_rate", self.data_rate), ("tx_power", self.tx_power))
        _bounded("ch_mask_cntl", self.ch_mask_cntl, 7)
        last = _nibbles(("ch_mask_cntl", self.ch_mask_cntl), ("nb_trans", self.nb_trans))
        return first + _bounded("ch_mask", self.ch_mask, 0xFFFF).to_bytes(2, "little") + last

    @classmethod
    def from_payload(cls, octets: bytes) -> "LinkADRReq":
        mask = int.from_bytes(octets[1:3], "little")
        return cls(octets[0] >> 4, octets[0] & 15, mask, octets[3] >> 4 & 7, octets[3] & 15)


@dataclass(frozen=True, slots=True)
class LinkADRAns(MacCommand):
    channel_mask_ack: bool
    data_rate_ack: bool
    power_ack: bool

    cid, uplink, length = 0x03, True, 1

    def payload(self) -> bytes:
        return _bits(self.channel_mask_ack, self.data_rate_ack, self.power_ack)

    @classmethod
    def from_payload(cls, octets: bytes) -> "LinkADRAns":
        return cls(_bit(octets, 0), _bit(octets, 1), _bit(octets, 2))


@dataclass(frozen=True, slots=True)
class DutyCycleReq(MacCommand):
    """The device may use 1 / 2**`max_duty_cycle` of all time, over all sub-bands together; 0 to 15."""

    max_duty_cycle: int

    cid, uplink, length = 0x04, False, 1

    def payload(self) -> bytes:
        return bytes((_bounded("max_duty_cycle", self.max_duty_cycle, 15),))

    @classmethod
    def from_payload(cls, octets: bytes) -> "DutyCycleReq":
        return cls(octets[0] & 15)


@dataclass(frozen=True, slots=True)
class DutyCycleAns(MacCommand):
    cid, uplink = 0x04, True


@dataclass(frozen=True, slots=True)
class RXParamSetupReq(MacCommand):
    rx1_dr_offset: int
    rx2_dr: int
    frequency_hz: int

    cid, uplink, length = 0x05, False, 4

    def payload(self) -> bytes:
        _bounded("rx1_dr_offset", self.rx1_dr_offset, 7)
        settings = _nibbles(("rx1_dr_offset", self.rx1_dr_offset), ("rx2_dr", self.rx2_dr))
        return settings + _frequency(self.frequency_hz)

    @classmethod
    def from_payload(cls, octets: bytes) -> "RXParamSetupReq":
        return cls(octets[0] >> 4 & 7, octets[0] & 15, _hertz(octets[1:4]))


@dataclass(frozen=True, slots=True)
class RXParamSetupAns(MacCommand):
    """Sticky: repeated in every uplink until a downlink is heard."""

    channel_ack: bool
    rx2_dr_ack: bool
    rx1_dr_offset_ack: bool

    cid, uplink, length = 0x05, True, 1

    def payload(self) -> bytes:
        return _bits(self.channel_ack, self.rx2_dr_ack, self.rx1_dr_offset_ack)

    @classmethod
    def from_payload(cls, octets: bytes) -> "RXParamSetupAns":
        return cls(_bit(octets, 0), _bit(octets, 1), _bit(octets, 2))


@dataclass(frozen=True, slots=True)
class DevStatusReq(MacCommand):
    cid, uplink = 0x06, False


@dataclass(frozen=True, slots=True)
class DevStatusAns(MacCommand):
    """`battery`: 0 external power, 1 to 254 level, 255 unknown; `margin`: SNR in dB of the last downlink, -32 to 31."""

    battery: int
    margin: int

    cid, uplink, length = 0x06, True, 2

    def payload(self) -> bytes:
        margin = _bounded("margin", self.margin, 31, -32)
        return bytes((_bounded("battery", self.battery, 255), margin & 0x3F))

    @classmethod
    def from_payload(cls, octets: bytes) -> "DevStatusAns":
        margin = octets[1] & 0x3F
        return cls(octets[0], margin - 64 if margin & 0x20 else margin)


@dataclass(frozen=True, slots=True)
class NewChannelReq(MacCommand):
    """Channel `index` becomes `frequency_hz` (0 removes it) with data rates `min_dr` to `max_dr`."""

    index: int
    frequency_hz: int
    min_dr: int = 0
    max_dr: int = 5

    cid, uplink, length = 0x07, False, 5

    def payload(self) -> bytes:
        rates = _nibbles(("max_dr", self.max_dr), ("min_dr", self.min_dr))
        return bytes((_bounded("index", self.index, 255),)) + _frequency(self.frequency_hz) + rates

    @classmethod
    def from_payload(cls, octets: bytes) -> "NewChannelReq":
        return cls(octets[0], _hertz(octets[1:4]), octets[4] & 15, octets[4] >> 4)


@dataclass(frozen=True, slots=True)
class NewChannelAns(MacCommand):
    frequency_ok: bool
    data_rates_ok: bool

    cid, uplink, length = 0x07, True, 1

    def payload(self) -> bytes:
        return _bits(self.frequency_ok, self.data_rates_ok)

    @classmethod
    def from_payload(cls, octets: bytes) -> "NewChannelAns":
        return cls(_bit(octets, 0), _bit(octets, 1))


@dataclass(frozen=True, slots=True)
class RXTimingSetupReq(MacCommand):
    """`delay` in seconds to the first window; 0 and 1 both mean 1 s."""

    delay: int

    cid, uplink, length = 0x08, False, 1

    def payload(self) -> bytes:
        return bytes((_bounded("delay", self.delay, 15),))

    @classmethod
    def from_payload(cls, octets: bytes) -> "RXTimingSetupReq":
        return cls(octets[0] & 15)


@dataclass(frozen=True, slots=True)
class RXTimingSetupAns(MacCommand):
    """Sticky: repeated in every uplink until a downlink is heard."""

    cid, uplink = 0x08, True


@dataclass(frozen=True, slots=True)
class TXParamSetupReq(MacCommand):
    """Dwell time limits and coded maximum EIRP; EU868 devices do not implement it and stay silent."""

    downlink_dwell: bool
    uplink_dwell: bool
    max_eirp: int

    cid, uplink, length = 0x09, False, 1

    def payload(self) -> bytes:
        return bytes((self.downlink_dwell << 5 | self.uplink_dwell << 4 | _bounded("max_eirp", self.max_eirp, 15),))

    @classmethod
    def from_payload(cls, octets: bytes) -> "TXParamSetupReq":
        return cls(_bit(octets, 5), _bit(octets, 4), octets[0] & 15)


@dataclass(frozen=True, slots=True)
class TXParamSetupAns(MacCommand):
    cid, uplink = 0x09, True


@dataclass(frozen=True, slots=True)
class DlChannelReq(MacCommand):
    """The first window of uplink channel `index` moves to `frequency_hz`."""

    index: int
    frequency_hz: int

    cid, uplink, length = 0x0A, False, 4

    def payload(self) -> bytes:
        return bytes((_bounded("index", self.index, 255),)) + _frequency(self.frequency_hz)

    @classmethod
    def from_payload(cls, octets: bytes) -> "DlChannelReq":
        return cls(octets[0], _hertz(octets[1:4]))


@dataclass(frozen=True, slots=True)
class DlChannelAns(MacCommand):
    """Sticky: repeated in every uplink until a downlink is heard."""

    frequency_ok: bool
    uplink_frequency_exists: bool

    cid, uplink, length = 0x0A, True, 1

    def payload(self) -> bytes:
        return _bits(self.frequency_ok, self.uplink_frequency_exists)

    @classmethod
    def from_payload(cls, octets: bytes) -> "DlChannelAns":
        return cls(_bit(octets, 0), _bit(octets, 1))


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
        seconds = _bounded("seconds", self.seconds, 0xFFFFFFFF).to_bytes(4, "little")
        return seconds + bytes((_bounded("fraction", self.fraction, 255),))

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


COMMANDS: Final[Mapping[tuple[bool, int], type[MacCommand]]] = MappingProxyType(
    {
        (command.uplink, command.cid): command
        for command in (
            LinkCheckReq,
            LinkCheckAns,
            LinkADRReq,
            LinkADRAns,
            DutyCycleReq,
            DutyCycleAns,
            RXParamSetupReq,
            RXParamSetupAns,
            DevStatusReq,
            DevStatusAns,
            NewChannelReq,
            NewChannelAns,
            RXTimingSetupReq,
            RXTimingSetupAns,
            TXParamSetupReq,
            TXParamSetupAns,
            DlChannelReq,
            DlChannelAns,
            DeviceTimeReq,
            DeviceTimeAns,
        )
    }
)


def parse_commands(stream: bytes, uplink: bool) -> tuple[list[MacCommand], bytes]:
    """The commands in a stream that travels `uplink` or down, and what could not be read.

    The stream is cut at the first unknown or truncated command, because nothing tells where the next one begins
    (TS001 5); the rest, that command's CID first, is handed back, empty when all was understood.
    Raises MacCommandError for more than MAX_STREAM octets.
    """
    if len(stream) > MAX_STREAM:
        raise MacCommandError(f"a MAC command stream has at most {MAX_STREAM} octets, not {len(stream)}")
    commands: list[MacCommand] = []
    at = 0
    while at < len(stream):
        command = COMMANDS.get((uplink, stream[at]))
        if command is None or at + 1 + command.length > len(stream):
            break
        commands.append(command.from_payload(stream[at + 1 : at + 1 + command.length]))
        at += 1 + command.length
    return commands, bytes(stream[at:])


def encode_commands(commands: Iterable[MacCommand]) -> bytes:
    """The stream for FOpts (at most 15 octets) or port 0. Raises MacCommandError."""
    stream = b"".join([command.encode() for command in commands])
    if len(stream) > MAX_STREAM:
        raise MacCommandError(f"a MAC command stream has at most {MAX_STREAM} octets, not {len(stream)}")
    return stream


def _bounded(name: str, value: int, high: int, low: int = 0) -> int:
    if not low <= value <= high:
        raise MacCommandError(f"{name} {value} is outside {low} to {high}")
    return value


def _nibbles(high: tuple[str, int], low: tuple[str, int]) -> bytes:
    return bytes((_bounded(*high, 15) << 4 | _bounded(*low, 15),))


def _bits(*flags: bool) -> bytes:
    return bytes((sum(flag << n for n, flag in enumerate(flags)),))


def _bit(octets: bytes, n: int) -> bool:
    return bool(octets[0] >> n & 1)


def _frequency(hz: int) -> bytes:
    if hz % 100:
        raise MacCommandError(f"{hz} Hz is no multiple of 100 Hz")
    return (_bounded("frequency", hz, MAX_FREQUENCY_HZ) // 100).to_bytes(3, "little")


def _hertz(octets: bytes) -> int:
    return int.from_bytes(octets, "little") * 100
