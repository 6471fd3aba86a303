"""When a device is told how its clock runs: late enough to be rare, early enough to keep its guard. Pure."""

from math import ceil
from typing import Final

import msgspec

from meterwire.clock_filter import DAY_S, ClockFilter
from meterwire.clock_package import MAX_DRIFT_PPB, QUARTER_S, ClockForecast

PER_DAY: Final = 2.0
SHARE: Final = 0.5  # of the guard, which the predicted error may use up
URGENT: Final = 0.8  # of the guard: over that an answer goes out though the day's are spent
SAVED: Final = 2.0  # answers that a quiet time saves up
DEBT: Final = -2.0  # credit that is remembered; a device outdoors needs more answers than any budget has
LEARNING: Final = 0.3
LEAST_AHEAD_S: Final = 3600.0
OWN_DRIFT: Final = 6e-6  # s/s; what a device reckons with on its first day, whatever it is told
FORECAST_SHARE: Final = 0.85  # of the guard: until its bound reaches that, a clock that was answered need not ask


class Budget(msgspec.Struct):
    """Answers that one device may still get: `per_day` come in, SAVED are kept; an urgent one is given on credit.

    `ahead_s` is the time for which an answer usually has to do, so the time over which its rate should be right.
    """

    at: float
    left: float = SAVED
    spent_at: float = 0.0
    ahead_s: float = DAY_S

    def due(self, track: ClockFilter, now: float, *, guard_s: float, period_s: float, per_day: float = PER_DAY) -> bool:
        """Whether the answer goes to this uplink at `now` (slot time), the next chance being a period later."""
        if now > self.at:
            self.left = min(SAVED, self.left + per_day * (now - self.at) / DAY_S)
        self.at = now
        if not track.settled:
            return False
        next_chance = track.estimate(now + period_s)
        error = abs(next_chance.offset) + next_chance.bound
        if error <= SHARE * guard_s:
            return False
        return self.left >= 1.0 or error > URGENT * guard_s

    def spend(self) -> None:
        """An answer is given."""
        since = min(DAY_S, self.at - self.spent_at)
        self.ahead_s = max(LEAST_AHEAD_S, self.ahead_s + LEARNING * (since - self.ahead_s))
        self.left = max(DEBT, self.left - 1.0)
        self.spent_at = self.at


def forecast(track: ClockFilter, now: float, rate: float, guard_s: float) -> ClockForecast | None:
    """How long a clock may trust the answer that it gets at `now`, and that tells it `rate` (s/s).

    None while so little is known of it that its own doubts do better.
    """
    found = track.forecast(now, rate, FORECAST_SHARE * guard_s)
    drift_ppb = ceil(found.drift * 1e9)
    if not track.settled or drift_ppb > MAX_DRIFT_PPB:
        return None
    return ClockForecast(round(found.seconds / QUARTER_S), drift_ppb)


def content_s(holds: ClockForecast | None, uncertainty_s: float, *, guard_s: float, period_s: float) -> float:
    """For how many seconds a device that has such an answer has no reason to ask again; 0 where that is not known."""
    if holds is None:
        return 0.0
    drift = max(holds.drift_ppb * 1e-9, OWN_DRIFT)
    return min(holds.quarters * QUARTER_S, (SHARE * guard_s - uncertainty_s) / drift) - period_s
