"""How often a device may ask to join (TS001-1.0.4 section 7): less and less air the longer nobody answers."""

from typing import Any, Final

from meterwire.errors import FormatError

HOUR_S: Final = 3600.0
DAY_S: Final = 86_400.0
FIRST_HOUR_S: Final = 36.0  # seconds on the air in the first hour: 1 %
NEXT_TEN_HOURS_S: Final = 36.0  # in the ten hours after: 0.1 %
EACH_DAY_S: Final = 8.7  # in every day from then on: 0.01 %


class JoinBackoff:
    """Pure: time is an argument, in seconds of one clock that goes on over a restart (Unix time).

    The periods count from the first request after `clear`.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._period = 0
        self._spent = 0.0

    def earliest(self, airtime_s: float, now: float) -> float:
        """When a request of `airtime_s` may go out: `now` or the begin of a later period."""
        since = self._begin(now)
        period = _period(now - since)
        spent = self._spent if period == self._period else 0.0
        if spent + airtime_s <= _allowance(period):
            return now
        return since + _start(period + 1)

    def record(self, airtime_s: float, now: float) -> None:
        """A request goes out at `now`."""
        self._since = self._begin(now)
        period = _period(now - self._since)
        if period != self._period:
            self._period, self._spent = period, 0.0
        self._spent += airtime_s

    def clear(self) -> None:
        """The network has answered."""
        self._since, self._period, self._spent = None, 0, 0.0

    def to_state(self) -> dict[str, Any]:
        return {"since": self._since, "period": self._period, "spent": self._spent}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "JoinBackoff":
        """Goes on from `to_state`. Raises FormatError."""
        since, period, spent = state.get("since"), state.get("period"), state.get("spent")
        if (
            not isinstance(since, float | int | None)
            or not isinstance(period, int)
            or not isinstance(spent, float | int)
        ):
            raise FormatError("the stored join back-off is damaged")
        backoff = cls()
        backoff._since, backoff._period, backoff._spent = since, period, spent
        return backoff

    def _begin(self, now: float) -> float:
        # A clock that was set back must not make the periods longer than they are.
        return now if self._since is None or self._since > now else self._since


def _period(elapsed: float) -> int:
    """0: the first hour, 1: the ten hours after, 2 and on: one day each."""
    if elapsed < HOUR_S:
        return 0
    if elapsed < 11 * HOUR_S:
        return 1
    return 2 + int((elapsed - 11 * HOUR_S) // DAY_S)


def _start(period: int) -> float:
    return (0.0, HOUR_S)[period] if period < 2 else 11 * HOUR_S + (period - 2) * DAY_S


def _allowance(period: int) -> float:
    return (FIRST_HOUR_S, NEXT_TEN_HOURS_S)[period] if period < 2 else EACH_DAY_S
