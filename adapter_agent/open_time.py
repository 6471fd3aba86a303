"""Open time: where an adapter with slot trust sends what is not for its slot, and disturbs nobody's (design 7).

A concentrator that answers hears nothing, and a frame of a second and more meets an answer to somebody nearly always.
So slow frames begin with the open time, and fast ones that waited for it so much later that no answer comes before the
slow ones are over.
"""

from collections.abc import Callable
from random import Random
from typing import Final

from adapter_agent.discipline import Discipline
from adapter_agent.radio.base import Span
from meterwire.config_records import OpenTimeRecord

LATE_S: Final = 0.25  # a frame that is ready so late after the moment drawn for it still has room
FRONT_S: Final = 0.4  # in which slow frames begin, on different channels and with different spreading factors
FAST_AFTER_S: Final = 1.2  # a frame of 40 bytes at DR0 that began last is over when the first fast one is answered …
MOST_SHARE: Final = 0.2  # … but no more of a short open time than this is left to slow ones
AHEAD: Final = 3  # occurrences that are looked at: in one of them the own slot may leave no room

Interval = tuple[float, float]


class OpenTime:
    """Times are monotonic seconds. One moment is drawn for each occurrence, so asking twice makes no wait longer."""

    def __init__(self, record: OpenTimeRecord, random: Random) -> None:
        self.period_s = float(record.period_s)
        self._phase_s, self._length_s = record.phase_ms / 1000, record.length_ms / 1000
        self._random = random
        self._drawn, self._share = -1, 0.0  # an occurrence by number, and how far into it (0 to 1)

    def at(
        self, monotonic_s: float, span: Span, discipline: Discipline, own: Callable[[float], Interval | None]
    ) -> float | None:
        """When an exchange may begin: at once inside of open time while frame and answer have room in it, else at a
        random moment of the next. None where there is none: the clock is not set, or the own slot leaves no room.

        Both ends are left as far away as the clock may be wrong. What has no room at all begins with the open time.
        `own(t)`: the next interval after `t` in which it must not begin because of the own slot.
        """
        unix = discipline.unix(monotonic_s)
        if unix is None:
            return None
        number = int((unix - self._phase_s) // self.period_s)
        for occurrence in range(number, number + AHEAD):
            first, last = _longest(*self._room(occurrence, span, discipline), own)
            if last - first < LATE_S or monotonic_s > last:
                continue
            if occurrence > number and self._drawn != occurrence:
                self._drawn, self._share = occurrence, self._random.random()
            if self._drawn == occurrence:
                first = max(first, min(first + self._left_to_slow(span), last - LATE_S))
                first += self._share * (last - LATE_S - first)
            return max(monotonic_s, first)
        return None

    def _room(self, occurrence: int, span: Span, discipline: Discipline) -> Interval:
        begin = discipline.monotonic(self._phase_s + occurrence * self.period_s)
        spare_s = discipline.uncertainty(begin)
        most = self._length_s - 2 * spare_s - span.answered_s
        if span.slow:
            most = min(most, FRONT_S)
        return begin + spare_s, begin + spare_s + max(most, LATE_S)

    def _left_to_slow(self, span: Span) -> float:
        """Seconds at the beginning in which none of the others that waited for open time begin."""
        return 0.0 if span.slow else min(FAST_AFTER_S, MOST_SHARE * self._length_s)


def _longest(first: float, last: float, own: Callable[[float], Interval | None]) -> Interval:
    """What the own slot leaves of it, before or behind."""
    busy = own(first)
    if busy is None:
        return first, last
    before, behind = (first, min(last, busy[0])), (max(first, busy[1]), last)
    return before if before[1] - before[0] >= behind[1] - behind[0] else behind
