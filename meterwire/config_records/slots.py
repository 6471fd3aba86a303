"""Records that give an adapter its slot, beacon and open time, and the one by which it echoes them (design 7)."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Self

from meterwire.config_records.record import Bounded, sized
from meterwire.errors import FormatError, ValueOutOfRange
from meterwire.lorawan.eu868 import EU868
from meterwire.slots import MAX_DATA_RATE, MAX_VERSION, PERIODS, Slot

BEACON_PERIODS: Final = PERIODS[:4]  # s; a day takes more than 16 bits, and no clock waits that long
OPEN_PERIODS: Final = PERIODS[:3]  # s; a frame without a slot does not wait for longer
MAX_OPEN_MS: Final = 60_000
_FREQUENCY_STEP_HZ: Final = 100
_MAX_RATE_PPB: Final = (1 << 23) - 1


class SlotState(IntEnum):
    """What an adapter does with its slot. NO_TRUST: its clock may be off by more than the guard."""

    IN_SLOT = 0
    NONE = 1
    NO_TRUST = 2
    REFUSED = 3


@dataclass(frozen=True, slots=True)
class SlotRecord(Bounded):
    """Type 0x10: the slot in which the adapter sends. A configuration without one means jittered sending [0150]."""

    type = 0x10
    slot: Slot

    def _fault(self) -> str | None:
        return None

    def _octets(self) -> bytes:
        slot = self.slot
        return (
            slot.version.to_bytes(2, "big")
            + bytes((slot.channel, PERIODS.index(slot.period_s)))
            + slot.phase_ms.to_bytes(4, "big")
            + bytes((slot.data_rate,))
            + slot.guard_ms.to_bytes(2, "big")
            + slot.length_ms.to_bytes(2, "big")
        )

    @classmethod
    def _read(cls, value: bytes) -> Self:
        sized(value, 13, 13, "a slot record")
        version, phase_ms, guard_ms, length_ms = map(_number, (value[:2], value[4:8], value[9:11], value[11:]))
        if value[3] >= len(PERIODS):
            raise FormatError(f"slots know the periods number 0 to {len(PERIODS) - 1}, not {value[3]}")
        try:
            return cls(Slot(value[2], phase_ms, PERIODS[value[3]], value[8], guard_ms, length_ms, version))
        except ValueOutOfRange as error:
            raise FormatError(str(error)) from None


@dataclass(frozen=True, slots=True)
class BeaconRecord(Bounded):
    """Type 0x11: where the concentrator's beacon is heard: a frequency of the region in steps of 100 Hz, a data rate of
    0 to 5, a period of 60 to 3600 s and the phase of its frame's start (ms from the Unix epoch, modulo the period).
    """

    type = 0x11
    frequency_hz: int
    data_rate: int
    period_s: int
    phase_ms: int

    def _fault(self) -> str | None:
        low, high = EU868.frequency_range_hz
        if not low <= self.frequency_hz < high or self.frequency_hz % _FREQUENCY_STEP_HZ:
            return f"a beacon is sent between {low} and {high} Hz in steps of 100 Hz, not at {self.frequency_hz} Hz"
        if not 0 <= self.data_rate <= MAX_DATA_RATE:
            return f"a beacon's data rate is 0 to {MAX_DATA_RATE}, not {self.data_rate}"
        if self.period_s not in BEACON_PERIODS:
            return f"a beacon's period is one of {', '.join(map(str, BEACON_PERIODS))} s, not {self.period_s}"
        if not 0 <= self.phase_ms < self.period_s * 1000:
            return f"a beacon's phase lies inside its period of {self.period_s} s, not at {self.phase_ms} ms"
        return None

    def _octets(self) -> bytes:
        return (
            (self.frequency_hz // _FREQUENCY_STEP_HZ).to_bytes(3, "big")
            + bytes((self.data_rate,))
            + self.period_s.to_bytes(2, "big")
            + self.phase_ms.to_bytes(4, "big")
        )

    @classmethod
    def _read(cls, value: bytes) -> Self:
        sized(value, 10, 10, "a beacon record")
        return cls(_number(value[:3]) * _FREQUENCY_STEP_HZ, value[3], _number(value[4:6]), _number(value[6:]))


@dataclass(frozen=True, slots=True)
class PreviousRecord(Bounded):
    """Type 0x12: whether telegrams also carry the previous value, so that one loss loses nothing."""

    type = 0x12
    carried: bool

    def _fault(self) -> str | None:
        return None

    def _octets(self) -> bytes:
        return bytes((self.carried,))

    @classmethod
    def _read(cls, value: bytes) -> Self:
        flag = sized(value, 1, 1, "a record about previous values")[0]
        if flag > 1:
            raise FormatError(f"previous values are carried (1) or not (0), not {flag}")
        return cls(bool(flag))


@dataclass(frozen=True, slots=True)
class OpenTimeRecord(Bounded):
    """Type 0x13: the time in which no adapter has a slot: `length_ms` from `phase_ms` on (from the Unix epoch, modulo
    `period_s`). An adapter with slot trust keeps its other frames to it, so that they, and the answers to them, disturb
    nobody's slot. Absent: it sends them at any time.
    """

    type = 0x13
    period_s: int
    phase_ms: int
    length_ms: int

    def _fault(self) -> str | None:
        if self.period_s not in OPEN_PERIODS:
            return f"open time repeats every {', '.join(map(str, OPEN_PERIODS))} s, not every {self.period_s} s"
        if not 0 <= self.phase_ms < self.period_s * 1000:
            return f"open time begins inside its period of {self.period_s} s, not at {self.phase_ms} ms"
        if not 1 <= self.length_ms <= MAX_OPEN_MS:
            return f"open time lasts 1 to {MAX_OPEN_MS} ms, not {self.length_ms} ms"
        return None

    def _octets(self) -> bytes:
        period = bytes((PERIODS.index(self.period_s),))
        return period + self.phase_ms.to_bytes(4, "big") + self.length_ms.to_bytes(2, "big")

    @classmethod
    def _read(cls, value: bytes) -> Self:
        sized(value, 7, 7, "a record about open time")
        if value[0] >= len(OPEN_PERIODS):
            raise FormatError(f"open time knows the periods number 0 to {len(OPEN_PERIODS) - 1}, not {value[0]}")
        return cls(PERIODS[value[0]], _number(value[1:5]), _number(value[5:]))


@dataclass(frozen=True, slots=True)
class SlotReport(Bounded):
    """Type 0x90: the echo. `version` is that of the slot in use or refused (0: none was given), `rate_ppb` how fast the
    adapter takes its own clock to run (24 bits signed), `uncertainty_ms` how far off it may be (65535: that or more).
    """

    type = 0x90
    version: int
    state: SlotState
    rate_ppb: int
    uncertainty_ms: int

    def _fault(self) -> str | None:
        if not 0 <= self.version <= MAX_VERSION:
            return f"a slot's version is 0 to {MAX_VERSION}, not {self.version}"
        if not -_MAX_RATE_PPB - 1 <= self.rate_ppb <= _MAX_RATE_PPB:
            return f"a clock's rate has 24 bits; {self.rate_ppb} ppb does not fit"
        if not 0 <= self.uncertainty_ms <= 0xFFFF:
            return f"a clock's uncertainty is 0 to 65535 ms, not {self.uncertainty_ms}"
        return None

    def _octets(self) -> bytes:
        return (
            self.version.to_bytes(2, "big")
            + bytes((self.state,))
            + self.rate_ppb.to_bytes(3, "big", signed=True)
            + self.uncertainty_ms.to_bytes(2, "big")
        )

    @classmethod
    def _read(cls, value: bytes) -> Self:
        sized(value, 8, 8, "a slot report")
        try:
            state = SlotState(value[2])
        except ValueError:
            raise FormatError(f"the state of a slot is 0 to {max(SlotState)}, not {value[2]}") from None
        return cls(_number(value[:2]), state, int.from_bytes(value[3:6], "big", signed=True), _number(value[6:]))


def _number(octets: bytes) -> int:
    return int.from_bytes(octets, "big")
