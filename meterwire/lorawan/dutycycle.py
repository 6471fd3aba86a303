"""The duty-cycle ledger: never more air in any hour than the sub-band's budget (EN 300 220-2).

Pure: the caller says what time it is, in seconds of one clock that goes on over a restart (Unix time).
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from meterwire.errors import FormatError
from meterwire.lorawan.plan import HOUR_S, FrequencyPlanError, SubBand

SLICE_S: Final = 5
"""Transmissions that end within one slice are remembered as one: an hour is 720 entries, and an entry is let go up to
this many seconds late, never early."""
MAX_AHEAD_S: Final = 300
"""How far ahead a transmission may be booked. What lies further ahead was booked before the clock was set back."""
KEEP_S: Final = HOUR_S + MAX_AHEAD_S


class DutyCycleLedger:
    """What was sent in each of `sub_bands` during the last hour, and what may still be sent.

    Bookings may be made ahead of time (a receive window) and out of order by up to MAX_AHEAD_S.
    """

    __slots__ = ("_bands",)

    def __init__(self, sub_bands: Iterable[SubBand]) -> None:
        self._bands = [_Band(sub_band) for sub_band in sub_bands]

    def allowed(self, frequency_hz: int, airtime_s: float, now: float) -> bool:
        """Whether a transmission of `airtime_s` that starts at `now` stays inside the budget.

        False for a frequency outside every sub-band.
        """
        band = self._find(frequency_hz)
        return band is not None and band.used(now) + _microseconds(airtime_s) <= band.budget

    def earliest(self, frequency_hz: int, airtime_s: float, now: float) -> float:
        """When it may start: `now`, a later time, or infinity (no sub-band, or longer than the whole budget)."""
        band = self._find(frequency_hz)
        return math.inf if band is None else band.earliest(_microseconds(airtime_s), now)

    def record(self, frequency_hz: int, airtime_s: float, now: float) -> None:
        """Book a transmission that starts at `now`, allowed or not. Raises FrequencyPlanError without a sub-band."""
        band = self._find(frequency_hz)
        if band is None:
            raise FrequencyPlanError(f"{frequency_hz} Hz is in no sub-band of this ledger")
        band.record(_microseconds(airtime_s), now + airtime_s, now)

    def used_s(self, frequency_hz: int, now: float) -> float:
        """Seconds that count against the budget at `now`, bookings ahead included."""
        band = self._find(frequency_hz)
        return 0.0 if band is None else band.used(now) / 1e6

    def to_state(self) -> dict[str, list[list[int]]]:
        """JSON-ready: sub-band name -> [[slice number, microseconds], ...]."""
        return {band.name: [list(entry) for entry in band.entries] for band in self._bands if band.entries}

    @classmethod
    def from_state(cls, sub_bands: Iterable[SubBand], state: Mapping[str, Any]) -> "DutyCycleLedger":
        """A ledger that goes on from `to_state`. Sub-bands that are no more are dropped. Raises FormatError."""
        ledger = cls(sub_bands)
        for band in ledger._bands:
            band.restore(state.get(band.name, []))
        return ledger

    def _find(self, frequency_hz: int) -> "_Band | None":
        for band in self._bands:
            if band.low_hz <= frequency_hz < band.high_hz:
                return band
        return None


class _Band:
    """One sub-band. `entries` rise in time: [slice in which the transmissions end, their microseconds]."""

    __slots__ = ("budget", "entries", "high_hz", "low_hz", "name", "total")

    def __init__(self, sub_band: SubBand) -> None:
        self.name, self.low_hz, self.high_hz = sub_band.name, sub_band.low_hz, sub_band.high_hz
        self.budget = int(sub_band.budget_s * 1e6)
        self.entries: deque[list[int]] = deque()
        self.total = 0

    def used(self, now: float) -> int:
        self._tidy(now)
        expired = 0
        for number, microseconds in self.entries:
            if _expiry(number) > now:
                break
            expired += microseconds
        return self.total - expired

    def earliest(self, microseconds: int, now: float) -> float:
        if microseconds > self.budget:
            return math.inf
        too_much = self.used(now) + microseconds - self.budget
        when = now
        for number, spent in self.entries:
            if too_much <= 0:
                break
            if _expiry(number) > now:
                when = _expiry(number)
                too_much -= spent
        return when

    def record(self, microseconds: int, end: float, now: float) -> None:
        self._tidy(now)
        self.total += microseconds
        number = int(end // SLICE_S)
        at = len(self.entries)
        while at and self.entries[at - 1][0] > number:
            at -= 1
        if at and self.entries[at - 1][0] == number:
            self.entries[at - 1][1] += microseconds
        else:
            self.entries.insert(at, [number, microseconds])

    def restore(self, entries: Any) -> None:
        if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
            raise FormatError(f"the duty-cycle state of {self.name} is no list of at most {MAX_ENTRIES} entries")
        for entry in entries:
            if not (isinstance(entry, list) and len(entry) == 2 and all(type(n) is int and n >= 0 for n in entry)):
                raise FormatError(f"the duty-cycle state of {self.name} holds an entry that is no pair of numbers")
        merged: dict[int, int] = {}
        for number, microseconds in entries:
            merged[number] = merged.get(number, 0) + microseconds
        self.entries = deque([number, merged[number]] for number in sorted(merged))
        self.total = sum(merged.values())

    def _tidy(self, now: float) -> None:
        """Forget what no booking can touch any more, and pull in what a clock set back left in the far future."""
        entries = self.entries
        while entries and _expiry(entries[0][0]) + MAX_AHEAD_S <= now:
            self.total -= entries.popleft()[1]
        last = int((now + MAX_AHEAD_S) // SLICE_S)
        late = 0
        while entries and entries[-1][0] > last:
            late += entries.pop()[1]
        if late:
            if entries and entries[-1][0] == last:
                entries[-1][1] += late
            else:
                entries.append([last, late])


MAX_ENTRIES: Final = 2 * (KEEP_S + MAX_AHEAD_S) // SLICE_S


def _expiry(number: int) -> float:
    """When the whole slice has been over for an hour."""
    return (number + 1) * SLICE_S + HOUR_S


def _microseconds(airtime_s: float) -> int:
    if not 0 < airtime_s < HOUR_S:
        raise ValueError(f"an airtime of {airtime_s} s is none")
    return math.ceil(airtime_s * 1e6)
