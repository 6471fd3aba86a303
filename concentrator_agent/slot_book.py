"""The slots of the device table in memory: the time they take, and who keeps them."""

import sqlite3
from collections.abc import Collection
from typing import Final

import msgspec

from concentrator_agent import store
from concentrator_agent.server.attendance import Attendance
from concentrator_agent.server.slot_times import SlotTimes

ANEW_OVER: Final = 500  # devices changed at once; fewer are put in one by one
TIDY_S: Final = 600.0  # after changes all is built anew now and then, for the time of slots that were left


class _Slot(msgspec.Struct, frozen=True):
    """As much of meterwire.time_entries.SlotEntry as is needed here."""

    period_s: int
    phase_ms: int
    length_ms: int
    version: int

    @property
    def period_ms(self) -> int:
        return self.period_s * 1000


_slot: Final = msgspec.json.Decoder(_Slot)


class SlotBook:
    """`read` is the store as committed. `now` may be of any clock."""

    def __init__(self, read: sqlite3.Connection) -> None:
        self._read = read
        self._stale_since: float | None = None
        self.times = SlotTimes()
        self.attendance = Attendance()
        self.load()

    def load(self) -> None:
        """Read the whole table."""
        found = [(int(dev_eui, 16), _slot.decode(slot)) for dev_eui, slot in store.slots(self._read)]
        self.times = SlotTimes((slot.period_ms, slot.phase_ms, slot.length_ms) for _, slot in found)
        attendance = Attendance((eui, slot.period_ms, slot.phase_ms, slot.version) for eui, slot in found)
        attendance.keep(self.attendance)
        self.attendance = attendance
        self._stale_since = None

    def change(self, dev_euis: Collection[str], now: float) -> None:
        """These devices came, changed or left."""
        if len(dev_euis) > ANEW_OVER:
            self.load()
            return
        for dev_eui in dev_euis:
            row = store.device(self._read, dev_eui)
            if row is None or row.slot is None:
                self.attendance.drop(int(dev_eui, 16))
                continue
            slot = _slot.decode(row.slot)
            self.times.add(slot.period_ms, slot.phase_ms, slot.length_ms)
            self.attendance.put(int(dev_eui, 16), slot.period_ms, slot.phase_ms, slot.version)
        if dev_euis and self._stale_since is None:
            self._stale_since = now

    def tidy(self, now: float) -> None:
        """Now and then: forget the time of slots that were left."""
        if self._stale_since is not None and not 0 <= now - self._stale_since < TIDY_S:
            self.load()
