"""A clock that runs on a real crystal: wrong by its cut, by the temperature, and by more the older it gets."""

from dataclasses import dataclass
from math import cos, pi, sin
from typing import Final

from edge.clock import Clock

DAY_S: Final = 86_400.0
CURVE: Final = -0.034e-6  # per K², around TURNOVER_C: a tuning fork
TURNOVER_C: Final = 25.0
CLOSE_ENOUGH_S: Final = 1e-7
SHORTEST_S: Final = 1e-6  # what floating point would swallow is no sleep


@dataclass(frozen=True, slots=True)
class Crystal:
    """`cut` and `ageing` (per day) as seconds per second; the place has `mean_c` degrees, and `swing_c` more at noon.

    `phase` (0 to 1) is the time of day at which the clock was switched on, in days.
    """

    cut: float = 0.0
    ageing: float = 0.0
    mean_c: float = TURNOVER_C
    swing_c: float = 0.0
    phase: float = 0.0

    def gained(self, seconds: float) -> float:
        """What the clock has gained in so many true seconds since it was switched on."""
        omega, begin = 2 * pi / DAY_S, 2 * pi * self.phase
        end, off = begin + omega * seconds, self.mean_c - TURNOVER_C
        squared = off * off * seconds + 2 * off * self.swing_c * (cos(begin) - cos(end)) / omega
        squared += self.swing_c**2 * (seconds / 2 - (sin(2 * end) - sin(2 * begin)) / (4 * omega))
        return self.cut * seconds + CURVE * squared + self.ageing * seconds * seconds / (2 * DAY_S)


class CrystalClock:
    """A `Clock` on top of the `true` one. What runs on it does not know how late it really is.

    Its wall clock is `ahead_s` wrong from the start, its monotonic clock begins at zero.
    """

    def __init__(self, true: Clock, crystal: Crystal, ahead_s: float = 0.0) -> None:
        self._true, self._crystal = true, crystal
        self._begin, self._wall = true.monotonic(), true.time() + ahead_s
        self._read = 0.0, 0.0  # true seconds since the begin, and what this clock showed then: it is often asked twice
        self._rate = 0.0  # over the last sleep

    def time(self) -> float:
        return self._wall + self.monotonic()

    def monotonic(self) -> float:
        passed = self._true.monotonic() - self._begin
        if passed != self._read[0]:
            self._read = passed, passed + self._crystal.gained(passed)
        return self._read[1]

    async def sleep(self, seconds: float) -> None:
        shows = self.monotonic()
        passed = self._read[0]
        wait = seconds / (1 + self._rate)
        for _ in range(8):
            error = shows + seconds - (passed + wait) - self._crystal.gained(passed + wait)
            wait += error
            if abs(error) <= CLOSE_ENOUGH_S:
                break
        if wait > SHORTEST_S:
            self._rate = seconds / wait - 1
        await self._true.sleep(max(wait, SHORTEST_S) if seconds > 0 else 0.0)
