"""One adapter's slot: a channel, a phase in a period and a length, and the moments that follow from them."""

import math
from dataclasses import dataclass
from typing import Final

from meterwire.errors import ValueOutOfRange
from meterwire.slots.length import check_data_rate
from meterwire.slots.plan import CHANNELS, MAX_GUARD_MS, MAX_LENGTH_MS, PERIODS

MAX_VERSION: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Window:
    """How a frame lay in the occurrence nearest to it. `begin` and `end` bound the slot (Unix s, guards included);
    `offset_s` is how much too late (positive) or too early (negative) the frame began.
    """

    begin: float
    end: float
    offset_s: float
    guard_s: float
    inside: bool

    @property
    def guard_used(self) -> float:
        """The share of the guard that the deviation takes: 1.0 and more means it is used up."""
        return abs(self.offset_s) / self.guard_s if self.guard_s else math.inf if self.offset_s else 0.0


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot of design 7. `phase_ms` counts from the Unix epoch, modulo the period, to the beginning of the leading
    guard; `guard_ms` is on both sides and part of `length_ms`; `version` (1 to 65535) rises with each assignment.

    ValueOutOfRange for a channel over 7, a period that is none of PERIODS, a phase outside it, a data rate over 5, a
    guard over MAX_GUARD_MS or a length that its guards fill.
    """

    channel: int
    phase_ms: int
    period_s: int
    data_rate: int
    guard_ms: int
    length_ms: int
    version: int

    def __post_init__(self) -> None:
        if not 0 <= self.channel < CHANNELS:
            raise ValueOutOfRange(f"slots know the channels 0 to {CHANNELS - 1}, not {self.channel}")
        if self.period_s not in PERIODS:
            raise ValueOutOfRange(f"a slot's period is one of {', '.join(map(str, PERIODS))} s, not {self.period_s}")
        if not 0 <= self.phase_ms < self.period_ms:
            raise ValueOutOfRange(f"a phase is 0 to {self.period_ms - 1} ms in this period, not {self.phase_ms}")
        check_data_rate(self.data_rate)
        if not 0 <= self.guard_ms <= MAX_GUARD_MS:
            raise ValueOutOfRange(f"a guard is 0 to {MAX_GUARD_MS} ms, not {self.guard_ms}")
        if not 2 * self.guard_ms < self.length_ms <= MAX_LENGTH_MS:
            raise ValueOutOfRange(
                f"a slot is longer than its guards and at most {MAX_LENGTH_MS} ms, not {self.length_ms}"
            )
        if not 1 <= self.version <= MAX_VERSION:
            raise ValueOutOfRange(f"a slot's version is 1 to {MAX_VERSION}, not {self.version}")

    @property
    def period_ms(self) -> int:
        return self.period_s * 1000

    def begin(self, now: float) -> float:
        """When the next slot begins, leading guard included, at or after `now` (both Unix s)."""
        return self._at_or_after(now, self.phase_ms)

    def send_at(self, now: float) -> float:
        """When the next frame should start, at or after `now` (both Unix s): a guard after the slot's begin.

        Inside the leading guard that is the slot that has begun, so asking again shortly before sending skips none.
        """
        return self._at_or_after(now, self.phase_ms + self.guard_ms)

    def window(self, received_end: float, airtime: float) -> Window:
        """How a frame that ended at `received_end` (Unix s) after `airtime` (s) lay in the nearest occurrence."""
        start_us = round((received_end - airtime) * 1e6)
        planned_us = (self.phase_ms + self.guard_ms) * 1000
        periods = round((start_us - planned_us) / (self.period_ms * 1000))
        nominal_us = planned_us + periods * self.period_ms * 1000
        begin_us = nominal_us - self.guard_ms * 1000
        end_us = begin_us + self.length_ms * 1000
        return Window(
            begin_us / 1e6,
            end_us / 1e6,
            (start_us - nominal_us) / 1e6,
            self.guard_ms / 1e3,
            begin_us <= start_us and start_us + round(airtime * 1e6) <= end_us,
        )

    def overlaps(self, other: "Slot") -> bool:
        """Whether both are ever on the air together: same channel and, as the shorter period divides the longer one,
        offsets modulo that period that lie closer than a length. Slots that touch do not overlap.
        """
        if self.channel != other.channel:
            return False
        common = math.gcd(self.period_ms, other.period_ms)
        behind = (other.phase_ms - self.phase_ms) % common
        return behind < self.length_ms or common - behind < other.length_ms

    def on_grid(self, quantum_ms: int) -> bool:
        """Whether phase and length are multiples of a plan's quantum."""
        return not self.phase_ms % quantum_ms and not self.length_ms % quantum_ms

    def _at_or_after(self, now: float, phase_ms: int) -> float:
        now_us = round(now * 1e6)  # whole microseconds are exact; a float of today's Unix time is not finer than that
        period_us = self.period_ms * 1000
        return (phase_ms * 1000 + -(-(now_us - phase_ms * 1000) // period_us) * period_us) / 1e6
