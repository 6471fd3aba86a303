"""Open time: where an adapter with slot trust sends what is not for its slot, and disturbs nobody's (design 7)."""

from random import Random
from typing import Final

from adapter_agent.discipline import Discipline
from adapter_agent.radio.base import Span
from meterwire.config_records import OpenTimeRecord

LATE_S: Final = 0.25  # a frame that is ready so late after the moment drawn for it still has room


class OpenTime:
    """Times are monotonic seconds. One moment is drawn for each occurrence, so asking twice makes no wait longer."""

    def __init__(self, record: OpenTimeRecord, random: Random) -> None:
        self.period_s = float(record.period_s)
        self._phase_s, self._length_s = record.phase_ms / 1000, record.length_ms / 1000
        self._random = random
        self._drawn, self._share = -1, 0.0  # an occurrence by number, and how far into it (0 to 1)

    def at(self, monotonic_s: float, span: Span, discipline: Discipline) -> float:
        """When an exchange may begin: at once inside of open time while frame and answer have room in it, else at a
        random moment of the next. At most a period later; the argument itself while the clock is not set.

        Both ends are left as far away as the clock may be wrong. What has no room at all begins with the open time.
        """
        unix = discipline.unix(monotonic_s)
        if unix is None:
            return monotonic_s
        number = int((unix - self._phase_s) // self.period_s)
        for occurrence in (number, number + 1):
            begin = discipline.monotonic(self._phase_s + occurrence * self.period_s)
            spare_s = discipline.uncertainty(begin)
            room_s = self._length_s - 2 * spare_s - span.answered_s
            first, last = begin + spare_s, begin + spare_s + max(room_s, LATE_S)
            if monotonic_s > last:
                continue
            if occurrence > number:
                self._draw(occurrence)
            drawn = first + self._share * (last - LATE_S - first) if self._drawn == occurrence else first
            return max(monotonic_s, drawn)
        return monotonic_s  # only an open time that is shorter than the clock is wrong comes here

    def _draw(self, occurrence: int) -> None:
        if self._drawn != occurrence:
            self._drawn, self._share = occurrence, self._random.random()
