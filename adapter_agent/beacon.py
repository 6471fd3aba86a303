"""The adapter listens to its concentrator's beacon: a short receive window each period keeps its clock in the slot.

A beacon carries no proof of who sent it. So it corrects a clock that an authenticated answer has set, within what that
may be wrong by anyway, and does nothing else; see `Discipline.hint`.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from math import ceil, inf
from typing import Final

from adapter_agent.own_slot import OwnSlot
from adapter_agent.radio.base import AdapterRadio, Ear
from adapter_agent.radio.phy import PhyError
from adapter_agent.timekeeping import Timekeeping
from adapter_agent.waiting import STEP_S, patiently, wait_for
from edge.clock import Clock
from meterwire.beacon import LENGTH, Beacon
from meterwire.clock_package import ClockQuality
from meterwire.config_records import BeaconRecord
from meterwire.errors import FormatError
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.gpstime import gps_seconds, unix_seconds

log = logging.getLogger(__name__)

LEAD_S: Final = 1.0  # so long before a window opens it is settled when it does
STAMP_S: Final = 0.002  # how exactly the radio tells when a frame began
LEAST_HALF_S: Final = 0.010  # a window opens at least so long before the beacon
MAX_HALF_S: Final = 1.0  # a clock that is less certain waits for an answer
WIDEN_AFTER: Final = 3  # beacons missed in a row: the window is made twice as wide, …
GIVE_UP_AFTER: Final = 9  # … and after so many it is not opened again before the next answer


class BeaconWatch:
    """`heard` counts beacons that were used; `ignored` windows without use, by reason: `silence`, `busy`, `slot` (its
    own slot came first), `foreign` (another frame), `damaged`, `other` (another concentrator's), `no_quality`,
    `replayed` (not younger than the last one), `contradicts` (the clock cannot be so wrong).
    """

    def __init__(self, time: Timekeeping, slot: OwnSlot, radio: AdapterRadio, clock: Clock) -> None:
        self.heard = 0
        self.ignored: Counter[str] = Counter()
        self._time, self._slot, self._radio, self._clock = time, slot, radio, clock
        self._record: BeaconRecord | None = None
        self._changed = asyncio.Event()
        self._forget()

    def configure(self, record: BeaconRecord | None) -> None:
        """Where the beacon is heard; None: there is none."""
        if record == self._record:
            return
        self._record = record
        self._forget()
        self._changed.set()
        if record is not None and not self._radio.listens:
            log.warning("this radio cannot listen to the beacon; the clock is kept by answers alone")

    async def run(self, progress: Callable[[], None]) -> None:
        """Until cancelled."""
        while True:
            progress()
            self._changed.clear()
            ear = self._next()
            wait = STEP_S if ear is None else ear.at - LEAD_S - self._clock.monotonic()
            if ear is None or wait > 0:
                await wait_for(self._changed, self._clock, min(wait, STEP_S))
            else:
                self._took(await patiently(self._listen(ear), self._clock, progress))

    def _forget(self) -> None:
        """Nothing is known of this beacon yet: the first that agrees with the clock says whose it is."""
        self._missed, self._name, self._gps_ms = 0, b"", -1
        self._answers, self._behind = -1, -inf

    def _next(self) -> Ear | None:
        """The next window; None while there is nothing to listen to, or no clock to listen by."""
        record, time = self._record, self._time
        if record is None or not self._radio.listens:
            return None
        if self._missed >= GIVE_UP_AFTER:
            if time.answers == self._answers:
                return None
            self._forget()
        now = max(self._clock.monotonic(), self._behind)
        unix = time.discipline.unix(now)
        if unix is None:
            return None
        if self._gps_ms / 1000 > gps_seconds(unix) + MAX_HALF_S:  # an answer has set the clock back since
            self._forget()
            return self._next()
        phase_s = record.phase_ms / 1000
        at = time.discipline.monotonic(phase_s + ceil((unix - phase_s) / record.period_s) * record.period_s)
        half_s = max(LEAST_HALF_S, time.discipline.uncertainty(at) + STAMP_S) * 2 ** (self._missed // WIDEN_AFTER)
        return Ear(record.frequency_hz, record.data_rate, at - half_s, 2 * half_s) if half_s <= MAX_HALF_S else None

    async def _listen(self, ear: Ear) -> str:
        """What became of the window: "heard", or why it was of no use."""
        self._behind = ear.at + 2 * ear.seconds
        air_s = airtime_s(LENGTH, ear.data_rate, uplink=False)
        own = self._slot.next(ear.at - LEAD_S)
        if own is not None and own.at - LEAD_S < ear.at + ear.seconds + air_s:
            return "slot"
        try:
            caught = await self._radio.listen(ear)
        except PhyError as error:
            log.info("no window for the beacon: %s", error)
            return "busy"
        return "silence" if caught is None else self._take(*caught)

    def _take(self, began: float, frame: bytes) -> str:
        if len(frame) != LENGTH:
            return "foreign"
        try:
            beacon = Beacon.decode(frame)
        except FormatError:
            return "damaged"
        if self._name and beacon.concentrator != self._name:
            return "other"
        if beacon.quality is ClockQuality.NONE:
            return "no_quality"
        if beacon.gps_ms <= self._gps_ms:
            return "replayed"
        uncertainty_s = beacon.uncertainty_ms / 1000 + STAMP_S
        if not self._time.hinted(unix_seconds(beacon.gps_ms / 1000), began, uncertainty_s):
            return "contradicts"
        self._name, self._gps_ms = beacon.concentrator, beacon.gps_ms
        return "heard"

    def _took(self, outcome: str) -> None:
        if outcome == "heard":
            self.heard += 1
            self._missed = 0
            return
        self.ignored[outcome] += 1
        if outcome not in ("silence", "busy", "slot"):
            log.warning("a beacon is not used: %s", outcome, extra={"reason": outcome})
        if outcome in ("slot", "busy"):  # the beacon is not to blame
            return
        self._missed += 1
        if self._missed >= GIVE_UP_AFTER:
            log.warning("no beacon for a while; not listening before the next clock answer")
            self._answers = self._time.answers
