"""Port 202, the application layer clock: LoRa Alliance TS003 for every device, and our answer with rate and forecast.

TS003's commands are little-endian and know whole seconds; 0x80 and 0x81 are ours, big-endian as all our formats. The
outer encryption is all that protects them [0152]. A payload holds one or more commands one behind the other.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Final, Self, TypeVar

from meterwire.errors import FormatError, LimitExceeded

PORT: Final = 202
PACKAGE: Final = 1
PACKAGE_VERSION: Final = 1
MAX_COMMANDS: Final = 16  # in one payload
MAX_PERIOD_CODE: Final = 15
MAX_TRANSMISSIONS: Final = 7
MAX_UNCERTAINTY_MS: Final = 0xFFFF
OFFSET_LIMIT_US: Final = 1 << 31
RATE_LIMIT_PPB: Final = 1 << 23
QUARTER_S: Final = 900
MAX_QUARTERS: Final = 0xFF
MAX_DRIFT_PPB: Final = 0xFFFF


class ClockQuality(IntEnum):
    """What the answering clock rests on."""

    NONE = 0
    FREE = 1
    NTP = 2
    GPS = 3


@dataclass(frozen=True, slots=True)
class PackageVersionReq:
    """Down: which version of the package does the device speak?"""

    CID: ClassVar[int] = 0x00
    LENGTH: ClassVar[int] = 0

    def encode(self) -> bytes:
        return bytes((self.CID,))

    @classmethod
    def decode(cls, body: bytes) -> Self:
        return cls()


@dataclass(frozen=True, slots=True)
class PackageVersionAns:
    """Up: package 1 is the clock."""

    CID: ClassVar[int] = 0x00
    LENGTH: ClassVar[int] = 2
    package: int = PACKAGE
    version: int = PACKAGE_VERSION

    def encode(self) -> bytes:
        return _pack("<BBB", self.CID, self.package, self.version)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        return cls(body[0], body[1])


@dataclass(frozen=True, slots=True)
class AppTimeReq:
    """Up: the device's time (GPS seconds modulo 2**32) at the end of this uplink; `token` 0 to 15 returns."""

    CID: ClassVar[int] = 0x01
    LENGTH: ClassVar[int] = 5
    device_time: int
    token: int
    answer_required: bool = False

    def encode(self) -> bytes:
        return _pack("<BIB", self.CID, self.device_time, self.token | self.answer_required << 4)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        time, param = struct.unpack("<IB", body)
        return cls(time, param & 0x0F, bool(param & 0x10))


@dataclass(frozen=True, slots=True)
class AppTimeAns:
    """Down: what the device adds to its time, in seconds (signed, 32 bit)."""

    CID: ClassVar[int] = 0x01
    LENGTH: ClassVar[int] = 5
    correction_s: int
    token: int

    def encode(self) -> bytes:
        return _pack("<BiB", self.CID, self.correction_s, self.token)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        correction, param = struct.unpack("<iB", body)
        return cls(correction, param & 0x0F)


@dataclass(frozen=True, slots=True)
class DeviceAppTimePeriodicityReq:
    """Down: ask for the time every 128 * 2**period s, give or take 30 s; `period` 0 to 15."""

    CID: ClassVar[int] = 0x02
    LENGTH: ClassVar[int] = 1
    period: int

    def encode(self) -> bytes:
        return _pack("<BB", self.CID, self.period)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        return cls(body[0] & MAX_PERIOD_CODE)


@dataclass(frozen=True, slots=True)
class DeviceAppTimePeriodicityAns:
    """Up: whether the device does so, and its time (GPS seconds modulo 2**32)."""

    CID: ClassVar[int] = 0x02
    LENGTH: ClassVar[int] = 5
    device_time: int
    not_supported: bool = False

    def encode(self) -> bytes:
        return _pack("<BBI", self.CID, self.not_supported, self.device_time)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        status, time = struct.unpack("<BI", body)
        return cls(time, bool(status & 1))


@dataclass(frozen=True, slots=True)
class ForceDeviceResyncReq:
    """Down: send so many AppTimeReq at once (0 to 7); none has an answer to this command itself."""

    CID: ClassVar[int] = 0x03
    LENGTH: ClassVar[int] = 1
    transmissions: int

    def encode(self) -> bytes:
        return _pack("<BB", self.CID, self.transmissions)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        return cls(body[0] & MAX_TRANSMISSIONS)


@dataclass(frozen=True, slots=True)
class ClockAnswer:
    """Down, ours: at the start of the uplink whose FCnt ends in `fcnt_low`, the adapter's clock was `offset_us` ahead.

    The clock is the one by which it sends in its slot. It runs `rate_ppb` fast, on the average of the coming day;
    `uncertainty_ms` bounds the offset's error; `leap_soon`: UTC has a leap second within the next 24 hours.
    """

    CID: ClassVar[int] = 0x80
    LENGTH: ClassVar[int] = 12
    fcnt_low: int
    offset_us: int
    rate_ppb: int
    uncertainty_ms: int
    quality: ClockQuality
    leap_soon: bool = False

    def encode(self) -> bytes:
        """13 bytes. Raises FormatError for a value that does not fit."""
        if not -OFFSET_LIMIT_US <= self.offset_us < OFFSET_LIMIT_US:
            raise FormatError(f"an offset of {self.offset_us} us does not fit: at most 2147 s either way")
        if not -RATE_LIMIT_PPB <= self.rate_ppb < RATE_LIMIT_PPB:
            raise FormatError(f"a rate of {self.rate_ppb} ppb does not fit: at most 8388 ppm either way")
        if not 0 <= self.fcnt_low <= 0xFFFF or not 0 <= self.uncertainty_ms <= MAX_UNCERTAINTY_MS:
            raise FormatError("frame counter and uncertainty have 16 bits each")
        return (
            struct.pack(">BHi", self.CID, self.fcnt_low, self.offset_us)
            + self.rate_ppb.to_bytes(3, "big", signed=True)
            + struct.pack(">HB", self.uncertainty_ms, self.quality | self.leap_soon << 7)
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        fcnt_low, offset = struct.unpack_from(">Hi", body)
        uncertainty, quality = struct.unpack_from(">HB", body, 9)
        if quality & 0x7F > ClockQuality.GPS:
            raise FormatError(f"clock quality {quality & 0x7F} does not exist: 0 none, 1 free, 2 NTP, 3 GPS")
        rate = int.from_bytes(body[6:9], "big", signed=True)
        return cls(fcnt_low, offset, rate, uncertainty, ClockQuality(quality & 0x7F), bool(quality & 0x80))


@dataclass(frozen=True, slots=True)
class ClockForecast:
    """Down, ours, behind a ClockAnswer: how far the clock that takes it may go wrong again.

    For `quarters` of an hour (1 to 255) its error stays within the answer's uncertainty and `drift_ppb` of the time
    since the uplink that was answered, in 9,999 of 10,000 cases.
    """

    CID: ClassVar[int] = 0x81
    LENGTH: ClassVar[int] = 3
    quarters: int
    drift_ppb: int

    def encode(self) -> bytes:
        """4 bytes. Raises FormatError for a value that does not fit."""
        if not 1 <= self.quarters <= MAX_QUARTERS or not 0 <= self.drift_ppb <= MAX_DRIFT_PPB:
            raise FormatError(
                f"a forecast is for 1 to {MAX_QUARTERS} quarters of an hour, of at most {MAX_DRIFT_PPB} ppb"
            )
        return struct.pack(">BBH", self.CID, self.quarters, self.drift_ppb)

    @classmethod
    def decode(cls, body: bytes) -> Self:
        quarters, drift = struct.unpack(">BH", body)
        if not quarters:
            raise FormatError("a forecast for no time at all tells nothing: 1 to 255 quarters of an hour")
        return cls(quarters, drift)


Up = PackageVersionAns | AppTimeReq | DeviceAppTimePeriodicityAns
Down = PackageVersionReq | AppTimeAns | DeviceAppTimePeriodicityReq | ForceDeviceResyncReq | ClockAnswer | ClockForecast
K = TypeVar("K", Up, Down)

_UP: Final[dict[int, type[Up]]] = {
    kind.CID: kind for kind in (PackageVersionAns, AppTimeReq, DeviceAppTimePeriodicityAns)
}
_DOWN: Final[dict[int, type[Down]]] = {
    kind.CID: kind
    for kind in (
        PackageVersionReq,
        AppTimeAns,
        DeviceAppTimePeriodicityReq,
        ForceDeviceResyncReq,
        ClockAnswer,
        ClockForecast,
    )
}


def read_up(payload: bytes) -> tuple[list[Up], FormatError | None]:
    """The commands of an uplink up to the first that is unknown, cut, or over MAX_COMMANDS; and what is wrong with it.

    How long an unknown command is nobody knows, so nothing behind it can be read; what stands before it is good.
    """
    return _read(payload, _UP)


def read_down(payload: bytes) -> tuple[list[Down], FormatError | None]:
    """The commands of a downlink, as `read_up` has them."""
    return _read(payload, _DOWN)


def decode_down(payload: bytes) -> list[Down]:
    """All commands of a downlink. Raises FormatError for an unknown or cut one, LimitExceeded over MAX_COMMANDS."""
    commands, wrong = _read(payload, _DOWN)
    if wrong is not None:
        raise wrong
    return commands


def _pack(layout: str, *values: Any) -> bytes:
    try:
        return struct.pack(layout, *values)
    except struct.error as error:
        raise FormatError(f"a value of a command of port {PORT} does not fit: {error}") from None


def _read(payload: bytes, kinds: dict[int, type[K]]) -> tuple[list[K], FormatError | None]:
    commands: list[K] = []
    at = 0
    while at < len(payload):
        kind = kinds.get(payload[at])
        if kind is None:
            return commands, FormatError(f"command 0x{payload[at]:02x} of port {PORT} is not known in this direction")
        body = payload[at + 1 : at + 1 + kind.LENGTH]
        if len(body) != kind.LENGTH:
            return commands, FormatError(f"{kind.__name__} has {kind.LENGTH} bytes behind its command, not {len(body)}")
        if len(commands) >= MAX_COMMANDS:
            return commands, LimitExceeded(f"more than {MAX_COMMANDS} commands in one payload of port {PORT}")
        try:
            commands.append(kind.decode(body))
        except FormatError as error:
            return commands, error
        at += 1 + kind.LENGTH
    return commands, None
