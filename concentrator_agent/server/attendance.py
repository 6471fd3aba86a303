"""Which occurrences of each slot came and which were missed, until that is reported. Pure.

Counting begins with the first occurrence that comes: an adapter that waits for its installation, or for the record that
gives it this slot, misses nothing. It is not stored: nobody missed anything while the concentrator stood still.
Arrays in order of the DevEUI instead of objects: thirty thousand devices take about a megabyte.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

LATE_S: Final = 15.0  # after its begin an occurrence has come or is missed: the longest slot and the way here
REPORT_EVERY_S: Final = 3600.0
MINUTES: Final = 128  # remembered; more than lie between two reports
MASK_BITS: Final = 64  # occurrences between two reports at the shortest period, and some more
SILENT_REPORTS: Final = 24  # hourly ones of a device that has fallen silent; then daily
NEVER: Final = 0xFFFF  # in place of the number of reports: nothing has come yet


class Expected(NamedTuple):
    """Occurrences that were due; those of them that did not come; those in whose minute slots of others came."""

    expected: int
    missed: int
    alone_missed: int


class Attendance:
    """`slots`: (DevEUI as a number, period and phase in ms, version of the slot). Times are slot time, in seconds."""

    def __init__(self, slots: Iterable[tuple[int, int, int, int]] = ()) -> None:
        ordered = sorted(slots)
        self._euis = array("Q", (one[0] for one in ordered))
        self._periods = array("I", (one[1] for one in ordered))
        self._phases = array("I", (one[2] for one in ordered))
        self._versions = array("H", (one[3] for one in ordered))
        self._bases = array("I", bytes(4 * len(ordered)))  # the first occurrence that was not told of
        self._masks = array("Q", bytes(8 * len(ordered)))
        self._silent = array("H", (NEVER for _ in ordered))
        self._minutes: dict[int, int] = {}
        self._swept = 0

    def __len__(self) -> int:
        return len(self._euis)

    def put(self, eui: int, period: int, phase: int, version: int) -> None:
        """A device gets a slot. The slot it has goes on being counted."""
        index = self._find(eui)
        if index is None:
            index = bisect_left(self._euis, eui)
            for column in self._columns:
                column.insert(index, 0)
            self._euis[index] = eui
        elif (self._periods[index], self._phases[index]) == (period, phase):
            self._versions[index] = version
            return
        self._periods[index], self._phases[index], self._versions[index] = period, phase, version
        self._bases[index], self._masks[index], self._silent[index] = 0, 0, NEVER

    def drop(self, eui: int) -> None:
        """A device has no slot any more."""
        index = self._find(eui)
        if index is not None:
            for column in self._columns:
                del column[index]

    def keep(self, before: "Attendance") -> None:
        """Take over what another table had counted of the same slots."""
        self._minutes = before._minutes
        for index, eui in enumerate(self._euis):
            old = before._find(eui)
            if old is not None and (before._periods[old], before._phases[old]) == (
                self._periods[index],
                self._phases[index],
            ):
                self._bases[index], self._masks[index] = before._bases[old], before._masks[old]
                self._silent[index] = before._silent[old]

    def begin_anew(self, now: float) -> None:
        """Our own clock was set: what was due, came or was missed by the time of before is not known."""
        self._minutes.clear()
        for index, silent in enumerate(self._silent):
            if silent != NEVER:
                self._bases[index] = _due(now + LATE_S, self._periods[index], self._phases[index])
                self._masks[index] = 0

    def came(self, eui: int, begin: float) -> None:
        """A frame of the occurrence that begins at `begin` is here."""
        index = self._find(eui)
        if index is None:
            return
        occurrence = round((begin * 1000 - self._phases[index]) / self._periods[index])
        if self._silent[index] == NEVER:
            self._bases[index], self._masks[index] = occurrence, 0
        self._silent[index] = 0
        place = occurrence - self._bases[index]
        if 0 <= place < MASK_BITS and not self._masks[index] >> place & 1:
            self._masks[index] |= 1 << place
            minute = int(begin // 60)
            self._minutes[minute] = self._minutes.get(minute, 0) + 1
            if len(self._minutes) > MINUTES:
                del self._minutes[min(self._minutes)]

    def take(self, eui: int, now: float) -> Expected | None:
        """What is to be reported of a device up to `now`; counting goes on from there. None for one without a slot."""
        index = self._find(eui)
        return None if index is None else self._take(index, now)

    def silent(self, now: float, share: float = 1.0) -> Iterator[tuple[int, int, Expected]]:
        """(DevEUI, version, what was missed) of devices of which nothing came for so long that it must be told now.

        Each call looks at the next `share` of all of them. What is given counts as reported.
        """
        count = len(self._euis)
        for step in range(min(count, max(1, round(share * count)))):
            index = (self._swept + step) % count
            if not self._overdue(index, now):
                continue
            found = self._take(index, now)
            self._silent[index] = min(self._silent[index] + 1, NEVER - 1)
            rare = self._silent[index] > SILENT_REPORTS and self._silent[index] % 24
            if found.missed and not rare:
                yield self._euis[index], self._versions[index], found
        self._swept = (self._swept + max(1, round(share * count))) % count if count else 0

    def _overdue(self, index: int, now: float) -> bool:
        """Whether the first occurrence that was not told of was so long ago that no frame will bring the report."""
        if self._silent[index] == NEVER:
            return False
        since = now - (self._bases[index] * self._periods[index] + self._phases[index]) / 1000
        wait = 2 * max(REPORT_EVERY_S, self._periods[index] / 1000) if self._masks[index] else REPORT_EVERY_S
        return since >= wait + LATE_S

    def _take(self, index: int, now: float) -> Expected:
        period, phase, base = self._periods[index], self._phases[index], self._bases[index]
        due = _due(now, period, phase)
        if due <= base or self._silent[index] == NEVER:
            if due + MASK_BITS < base:  # the clock was set back
                self._bases[index], self._masks[index] = due, 0
            return Expected(0, 0, 0)
        mask = self._masks[index]
        expected = min(due - base, MASK_BITS)
        missed = [base + place for place in range(expected) if not mask >> place & 1]
        minutes = ((one * period + phase) // 60_000 for one in missed)
        alone = sum(self._minutes.get(minute, 0) > 0 for minute in minutes)
        self._bases[index], self._masks[index] = due, mask >> (due - base) if due - base < MASK_BITS else 0
        return Expected(expected, len(missed), alone)

    @property
    def _columns(self) -> "tuple[array[int], ...]":
        return self._euis, self._periods, self._phases, self._versions, self._bases, self._masks, self._silent

    def _find(self, eui: int) -> int | None:
        index = bisect_left(self._euis, eui)
        return index if index < len(self._euis) and self._euis[index] == eui else None


def _due(now: float, period: int, phase: int) -> int:
    """The number of the first occurrence that has not been due for LATE_S."""
    return max(0, int(((now - LATE_S) * 1000 - phase) // period) + 1)
