"""What the concentrator's own clock is worth: its quality, jumps, leap seconds, and whether it may set other clocks.

Slots are counted in slot time: Unix time that goes on evenly through the leap seconds after SLOT_LEAPS, as GPS time and
so every DeviceTimeAns does. A leap second therefore moves dates, never a slot; nothing is smeared.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from edge.clock import Clock
from edge.timesync import EARLIEST_UNIX, HostClock, host_clock
from meterwire.clock_package import ClockQuality
from meterwire.lorawan.gpstime import gps_seconds
from meterwire.messages import TimeQuality

JUMP_S: Final = 0.05  # a clock that is slewed never steps so far from one second to the next
REPORTED_JUMP_S: Final = 1.0
SETTLE_S: Final = 600.0  # a clock that was set counts again after so long under NTP
LEAP_TOLERANCE_S: Final = 0.2
BRACKET_S: Final = 0.01  # reading both clocks must not take longer
REFERENCED: Final = frozenset({"ntp", "gps"})
MAX_LEAPS: Final = 8
DAY_S: Final = 86_400.0

Notice = tuple[str, dict[str, Any]]


class Timekeeper:
    """Asked by everything that tells a device the time. `wanted` is the configured quality; "auto" asks the kernel."""

    def __init__(
        self,
        clock: Clock,
        wanted: TimeQuality | str,
        ask: Callable[[], HostClock] = host_clock,
        leaps: bytes = b"",
        epoch: int = 0,
    ) -> None:
        self.epoch = epoch  # another one after each jump: what was measured before was measured by another clock
        self._clock = clock
        self._wanted = wanted
        self._ask = ask
        self._host = ask()
        self._offset = clock.time() - clock.monotonic()
        self._jumped = 0.0  # s since the clock was last believed
        self._jumped_at: float | None = None  # monotonic
        self._leaps = _read(leaps)  # Unix times of leap seconds that the table of GPS time does not have
        self._by_source: str | None = None
        self.disagreed = self._said_disagreed = False  # devices whose clocks are known say something else

    def quality(self) -> TimeQuality:
        if self._wanted == "auto":
            return self._host.reference if self._host.synchronised else "free"
        return self._wanted  # type: ignore[return-value]

    @property
    def leap_soon(self) -> bool:
        """Whether UTC has a leap second within 24 hours, as far as the kernel was told."""
        return self._host.leap

    def may_tell(self, quality: TimeQuality) -> bool:
        """Whether a clock may be set by a stamp of this quality: never after a jump that nobody has explained.

        A free-running clock that most adapters contradict is the one that is wrong: a slot is not guessed.
        """
        if quality == "none":
            return False
        # A gateway's own stamp is good whatever our clock does, unless that comes from gateways.
        ours = quality != "gps" or self._host.reference == "gps"
        was_set = self._host.usable and self._clock.time() >= EARLIEST_UNIX
        if ours and (self._jumped_at is not None or not was_set):
            return False
        return quality in REFERENCED or not self.disagreed

    def slot_time(self, unix: float) -> float:
        """Slot time of a Unix time: the same until the next leap second."""
        return unix + sum(unix >= leap for leap in self._leaps)

    def gps(self, unix: float) -> float:
        """GPS seconds of a Unix time, with the leap seconds that were seen here."""
        return gps_seconds(unix) + sum(unix >= leap for leap in self._leaps)

    def leaps(self) -> bytes:
        """What `leaps` of a later start takes."""
        return msgspec.json.encode(self._leaps)

    def set_by_source(self, outcome: str) -> None:
        """The time source has just set the clock: for the `first` time, for a `leap` second, or otherwise."""
        self._by_source = outcome

    def look(self) -> list[Notice]:
        """Once a second: has the clock been set? Gives the reasons and details of events."""
        before = self._clock.monotonic()
        now = self._clock.time()
        monotonic = self._clock.monotonic()
        if monotonic - before > BRACKET_S:
            return []  # held up in between: the next look tells
        offset = now - (before + monotonic) / 2
        jump = offset - self._offset
        self._offset = offset
        by_source, self._by_source = self._by_source, None
        if abs(jump) >= JUMP_S:
            if by_source == "first":
                self.epoch += 1
                return [*_reported(jump), *self._believe()]  # nobody was told the time before
            return self._jump(jump, now, monotonic, leap=self._host.leap or by_source == "leap")
        if self.disagreed is not self._said_disagreed:
            self._said_disagreed = self.disagreed
            return [("contradicted" if self.disagreed else "agreed", {})]
        if self._jumped_at is not None and monotonic - self._jumped_at >= SETTLE_S and self.quality() in REFERENCED:
            return self._believe()
        return []

    def refresh(self) -> list[Notice]:
        """Now and then: ask the kernel again."""
        before, self._host = self._host, self._ask()
        if before.synchronised is self._host.synchronised:
            return []
        return [("synchronised" if self._host.synchronised else "unsynchronised", {})]

    def _jump(self, jump: float, now: float, monotonic: float, *, leap: bool) -> list[Notice]:
        if leap and abs(jump + 1.0) <= LEAP_TOLERANCE_S:
            midnight = float(round(now / DAY_S) * DAY_S)
            if gps_seconds(midnight) - gps_seconds(midnight - 1) < 2 and len(self._leaps) < MAX_LEAPS:
                self._leaps.append(midnight)
            return [("leap_second", {})]
        self.epoch += 1
        self._jumped += jump
        self._jumped_at = monotonic
        if abs(self._jumped) < JUMP_S:
            return [*_reported(jump), *self._believe()]  # set back to where it was
        return _reported(jump)

    def _believe(self) -> list[Notice]:
        self._jumped, self._jumped_at = 0.0, None
        return [("settled", {})]


def wire_quality(quality: TimeQuality) -> ClockQuality:
    """The quality as a ClockAnswer says it."""
    return ClockQuality[quality.upper()]


def _reported(jump: float) -> list[Notice]:
    return [("jump", {"offset_ms": round(jump * 1000, 1)})] if abs(jump) >= REPORTED_JUMP_S else []


def _read(leaps: bytes) -> list[float]:
    """Those of the stored leap seconds that GPS time does not know by itself now."""
    try:
        stored = msgspec.json.decode(leaps, type=list[float]) if leaps else []
    except msgspec.DecodeError:
        return []
    return [leap for leap in stored[:MAX_LEAPS] if gps_seconds(leap) - gps_seconds(leap - 1) < 2]
