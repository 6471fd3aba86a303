"""When a device is told how its clock runs: late enough to be rare, early enough to keep its guard. Pure."""

from typing import Final

import msgspec

from meterwire.clock_filter import DAY_S, ClockFilter

PER_DAY: Final = 2.0
SHARE: Final = 0.5  # of the guard, which the predicted error may use up
URGENT: Final = 0.8  # of the guard: over that an answer goes out though the day's are spent
SAVED: Final = 2.0  # answers that a quiet time saves up
DEBT: Final = -2.0  # credit that is remembered; a device outdoors needs more answers than any budget has


class Budget(msgspec.Struct):
    """Answers that one device may still get: `per_day` come in, SAVED are kept; an urgent one is given on credit."""

    at: float
    left: float = SAVED

    def due(
        self, track: ClockFilter, now: float, *, guard_s: float, period_s: float, per_day: float = PER_DAY
    ) -> bool:
        """Whether the answer goes to this uplink at `now` (slot time), the next chance being a period later."""
        self._refill(now, per_day)
        if not track.settled:
            return False
        error = self._error(track, now, period_s)
        if error <= SHARE * guard_s:
            return False
        return self.left >= 1.0 or error > URGENT * guard_s

    def spend(self) -> None:
        self.left = max(DEBT, self.left - 1.0)

    def _refill(self, now: float, per_day: float) -> None:
        if now > self.at:
            self.left = min(SAVED, self.left + per_day * (now - self.at) / DAY_S)
        self.at = now

    def _error(self, track: ClockFilter, now: float, period_s: float) -> float:
        """The largest error to be expected until the next chance, in seconds."""
        then = track.estimate(now + period_s)
        return abs(then.offset) + then.bound
