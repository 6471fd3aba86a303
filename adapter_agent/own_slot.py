"""The adapter's slot: whether it may be used, when it comes next, what stays clear of it, and what is told about it."""

import logging
from collections.abc import Iterable
from random import Random
from typing import Final

from adapter_agent.open_time import OpenTime
from adapter_agent.radio.base import AdapterRadio, NotJoined, Planned, Span
from adapter_agent.timekeeping import Timekeeping
from edge.clock import Clock
from meterwire.config_records import ConfigurationRefused, OpenTimeRecord, Record, SlotRecord, SlotReport, SlotState
from meterwire.slots import Kind, Slot

log = logging.getLogger(__name__)

LEAD_S: Final = 1.0  # so long before its slot a telegram is made
LEAST_ROOM: Final = Kind.VALUES.size  # bytes that a slot must carry
HOLD_S: Final = 30.0  # what waited for the slot to pass goes out within that time …
HOLD_SHARE: Final = 0.125  # … or within this share of the period
DAY_S: Final = 86_400
MAX_RATE_PPB: Final = 0x7FFFFF
MAX_UNCERTAINTY_MS: Final = 0xFFFF


class OwnSlot:
    """Times are monotonic seconds. Without a slot it wants nothing and keeps nothing clear. [0150] to [0153]."""

    def __init__(
        self, time: Timekeeping, radio: AdapterRadio, clock: Clock, random: Random, *, day_begins_s: float = 0.0
    ) -> None:
        """`day_begins_s` after midnight UTC the adapter's own day begins, for the daily report."""
        self._day_begins_s = day_begins_s
        self._time, self._radio, self._clock, self._random = time, radio, clock, random
        self._slot: Slot | None = None
        self._record: OpenTimeRecord | None = None
        self._open: OpenTime | None = None
        self._hurry = False
        self._hold: tuple[float, float] = (0.0, 0.0)  # an occurrence's begin, and how long it holds others back
        self._owed = False  # that trust was lost has not been told yet
        self._said: SlotState | None = None  # an adapter that never had a slot does not speak of any

    def configure(self, slot: Slot | None, open_time: OpenTimeRecord | None = None) -> None:
        """The slot that the running configuration names, and the time that it leaves open for everything else."""
        self._slot = slot
        if open_time != self._record:
            self._record = open_time
            self._open = None if open_time is None else OpenTime(open_time, self._random)

    def hurry(self, on: bool) -> None:
        """While `on`, somebody waits beside the adapter: nothing waits for open time."""
        self._hurry = on

    @property
    def open_period_s(self) -> float | None:
        """How often open time comes, where what is not for the slot keeps to it; None: it goes out at any time."""
        if self._open is None or self._hurry or self.next(self._clock.monotonic()) is None:
            return None
        return self._open.period_s

    @property
    def refusal(self) -> str | None:
        """Why the slot cannot be used here, at most 20 characters; None where it can, or where there is none."""
        slot = self._slot
        if slot is None:
            return None
        try:
            if not self._radio.carries(slot.channel, slot.data_rate):
                return f"no channel {slot.channel} DR{slot.data_rate}"
            return "slot too short" if self._radio.room(self._planned(slot, 0.0, 0.0)) < LEAST_ROOM else None
        except NotJoined:
            return None  # it shows once there is a session

    def refused(self, version: int) -> ConfigurationRefused | None:
        """What tells the refusal; `version` is the configuration's, of which the rest is in force."""
        reason = self.refusal
        return None if reason is None else ConfigurationRefused(version, SlotRecord.type, reason)

    def next(self, monotonic_s: float) -> Planned | None:
        """The first use of the slot from then on; None while there is none to be trusted."""
        slot = self._slot
        if slot is None or self.refusal is not None:
            return None
        return self._next(slot, monotonic_s)

    @property
    def state(self) -> SlotState:
        """What the report says. A clock that is good enough for the next slot and not for a whole period changes
        nothing of it: it would be told again and again.
        """
        slot = self._slot
        if slot is None:
            return SlotState.NONE
        if self.refusal is not None:
            return SlotState.REFUSED
        if not self.uncertain(1.0):
            return SlotState.IN_SLOT
        lost = self._time.uncertainty() >= slot.guard_ms / 1000
        return SlotState.NO_TRUST if lost or self._said is not SlotState.IN_SLOT else SlotState.IN_SLOT

    def report(self) -> SlotReport | None:
        """The echo of slot and clock as they are now; None as long as there never was a slot.

        That trust was lost is told even when it has come back before it could be: the network should know.
        """
        state, uncertainty_s = self.state, self._time.uncertainty()
        if self._said is None and state is SlotState.NONE:
            return None
        if state is not self._said:
            log.info("slot: %s", state.name.lower(), extra={"reason": self.refusal})
            self._owed = self._owed or (state is SlotState.NO_TRUST and self._said is SlotState.IN_SLOT)
            self._said = state
        if self._owed and state is SlotState.IN_SLOT:
            state = SlotState.NO_TRUST
        return SlotReport(
            0 if self._slot is None else self._slot.version,
            state,
            max(-MAX_RATE_PPB, min(MAX_RATE_PPB, round(self._time.discipline.rate * 1e9))),
            round(min(uncertainty_s * 1000, MAX_UNCERTAINTY_MS)),
        )

    def told(self, records: Iterable[Record]) -> None:
        """These records of a report have arrived."""
        if any(isinstance(one, SlotReport) and one.state is SlotState.NO_TRUST for one in records):
            self._owed = False

    @property
    def day(self) -> int:
        """The day of the daily report: not all adapters report at midnight."""
        unix = self._time.unix()
        if self._slot is None or unix is None:
            return 0
        return int((unix - self._day_begins_s) // DAY_S)

    def clear_at(self, monotonic_s: float, span: Span) -> float:
        """From when on an exchange disturbs nobody: it does not reach into the slot, and where the network leaves time
        open for all, it lies there. What had to wait for the slot only is spread.
        """
        slot = self._slot
        if slot is None or self.refusal is not None:
            return monotonic_s
        if self._open is None or self.open_period_s is None:
            return self._clear_of(slot, monotonic_s, span.whole_s, min(HOLD_S, HOLD_SHARE * slot.period_s))
        moment = self._open.at(monotonic_s, span, self._time.discipline, lambda first: self._busy(slot, first, span))
        return self._clear_of(slot, monotonic_s, span.whole_s, 0.0) if moment is None else moment

    @property
    def unvouched(self) -> float:
        """Seconds by which the clock might be wrong if beacons had lied to it; 0 without a slot."""
        if self._slot is None or self.refusal is not None:
            return 0.0
        return self._time.discipline.unvouched(self._clock.monotonic())

    @property
    def strained(self) -> bool:
        """Whether the beacon and the clock disagree, so that only an answer can tell who is right."""
        return self._slot is not None and self.refusal is None and self._time.discipline.strained

    @property
    def hinted(self) -> bool:
        """Whether the slot is kept by beacons since the last answer."""
        return self.next(self._clock.monotonic()) is not None and self._time.discipline.hinted

    @property
    def foretold(self) -> bool:
        """Whether the network's forecast reaches over the next period."""
        slot = self._slot
        return slot is not None and self._time.discipline.foretold(self._clock.monotonic() + slot.period_s)

    def uncertain(self, share: float) -> bool:
        """Whether a period from now the clock may be wrong by more than `share` of the guard."""
        slot = self._slot
        if slot is None or self.refusal is not None:
            return False
        ahead = self._clock.monotonic() + slot.period_s
        return self._time.discipline.uncertainty(ahead) >= share * slot.guard_ms / 1000

    def _next(self, slot: Slot, monotonic_s: float) -> Planned | None:
        discipline, guard = self._time.discipline, slot.guard_ms / 1000
        unix = discipline.unix(monotonic_s)
        if unix is None:
            return None
        at = discipline.monotonic(slot.send_at(unix))
        spare = guard - discipline.uncertainty(at)
        return self._planned(slot, at, spare / 2) if spare > 0 else None

    def _planned(self, slot: Slot, at: float, late_s: float) -> Planned:
        air = (slot.length_ms - 2 * slot.guard_ms) / 1000
        return Planned(at, slot.channel, slot.data_rate, air, late_s, quiet=self._open is not None and not self._hurry)

    def _busy(self, slot: Slot, monotonic_s: float, span: Span) -> tuple[float, float] | None:
        """When no exchange may begin because of the first use of the slot from then on, and of what it waits for."""
        listening = span.windows_s + slot.length_ms / 1000
        planned = self._next(slot, monotonic_s - listening)
        if planned is None:
            return None
        begin = planned.at - slot.guard_ms / 1000
        return begin - span.whole_s, begin + listening

    def _clear_of(self, slot: Slot, monotonic_s: float, seconds: float, most: float) -> float:
        """From when on something that takes `seconds` does not reach into the slot; what had to wait for it waits up to
        `most` longer.
        """
        length, clear = slot.length_ms / 1000, monotonic_s
        if seconds + length > slot.period_s:  # there is no such gap
            return monotonic_s + slot.period_s
        planned = self._next(slot, monotonic_s - length - most)
        while planned is not None:
            begin = planned.at - slot.guard_ms / 1000
            if clear + seconds <= begin:
                break
            clear = max(clear, begin + length + self._held_back(begin, most))
            planned = self._next(slot, planned.at + length)
        return clear

    def _held_back(self, begin: float, most: float) -> float:
        """Drawn once for each use of the slot, so that asking twice does not make it longer."""
        if most <= 0:
            return 0.0
        if abs(begin - self._hold[0]) > 1.0:
            self._hold = begin, self._random.uniform(0.0, most)
        return self._hold[1]
