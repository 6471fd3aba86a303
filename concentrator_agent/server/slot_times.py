"""When somebody sends in a slot, on whatever channel: a gateway that sends itself hears none of them. Pure."""

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

Slotted = tuple[int, int, int]  # period, phase, length, all in ms

FREE_MS: Final = 60_000  # as far as anybody looks ahead


class SlotTimes:
    """The time that slots take, by period: intervals in order that do not touch. Built once for a device table.

    Thirty thousand slots take a quarter of a megabyte, and a question a few microseconds.
    """

    def __init__(self, slots: Iterable[Slotted] = ()) -> None:
        pieces: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for period, phase, length in slots:
            pieces[period] += _pieces(period, phase, length)
        self._periods = {period: _joined(some) for period, some in pieces.items()}

    def add(self, period: int, phase: int, length: int) -> None:
        """One more slot. None is ever taken out: a time that was left counts as taken until all is built anew."""
        starts, ends = self._periods.setdefault(period, (array("I"), array("I")))
        for begin, end in _pieces(period, phase, length):
            first, after = bisect_left(ends, begin), bisect_right(starts, end)
            starts[first:after] = array("I", (min((begin, *starts[first:after])),))
            ends[first:after] = array("I", (max((end, *ends[first:after])),))

    def free_ms(self, at_ms: float) -> float:
        """Milliseconds from `at_ms` (slot time) until the next slot begins: 0 inside of one, at most FREE_MS."""
        free: float = FREE_MS
        for period, (starts, ends) in self._periods.items():
            here = at_ms % period
            following = bisect_right(starts, here)
            if following and ends[following - 1] > here:
                return 0.0
            begin = starts[following] if following < len(starts) else starts[0] + period
            free = min(free, begin - here)
        return free

    @property
    def intervals(self) -> int:
        """How many are held."""
        return sum(len(starts) for starts, _ in self._periods.values())


def _pieces(period: int, phase: int, length: int) -> list[tuple[int, int]]:
    """The interval within a period; in two where it runs over the end."""
    end = phase + min(length, period)
    return [(phase, end)] if end <= period else [(0, end - period), (phase, period)]


def _joined(pieces: list[tuple[int, int]]) -> "tuple[array[int], array[int]]":
    starts, ends = array("I"), array("I")
    for begin, end in sorted(pieces):
        if ends and begin <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(begin)
            ends.append(end)
    return starts, ends
