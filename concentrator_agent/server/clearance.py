"""Whether the concentrator may send at a moment: while it does, it hears nobody's slot (design 7).

With open time in the plan, an uplink that came in its slot or in open time is answered only with what reaches into
nobody's slot: its device knows the time, and asks again in open time. Who sends elsewhere, for it does not trust its
clock, must be able to find back: RX1 is answered in any case. Where the plan has no open time, everything fits.
"""

from bisect import bisect_right
from enum import Enum
from typing import Final

from concentrator_agent.radio.base import Reception
from concentrator_agent.server.sessions import Device
from concentrator_agent.server.slot_times import FREE_MS
from concentrator_agent.server.timekeeping import Timekeeper
from concentrator_agent.slot_book import SlotBook
from concentrator_agent.timeplan import TimePlan
from meterwire.beacon import LENGTH as BEACON_OCTETS
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.frame import MAX_PHY
from meterwire.slots import FREQUENCIES_HZ

TURN_MS: Final = 5.0  # a gateway turns between sending and listening, and its counter is known so well
UNLIMITED: Final = MAX_PHY


class Manners(Enum):
    """In which receive windows nobody's slot may be disturbed."""

    NONE = 0
    SECOND = 1
    BOTH = 2


class Clearance:
    """Asked by the downlink path."""

    def __init__(self, plan: TimePlan, book: SlotBook, keeper: Timekeeper) -> None:
        self._plan = plan
        self._book = book
        self._keeper = keeper
        self._airtimes: dict[int, list[float]] = {}

    def manners(self, device: Device | None, best: Reception) -> Manners:
        """What an answer to this uplink must mind."""
        slot, open_time = None if device is None else device.slot, self._plan.open_time
        if slot is None or open_time is None:
            return Manners.NONE
        end, airtime = self._keeper.slot_time(best.received_at), airtime_s(len(best.phy), best.dr)
        if ((end - airtime) * 1000 - open_time.phase_ms) % (open_time.period_s * 1000) < open_time.length_ms:
            return Manners.BOTH
        ours = best.dr == slot.data_rate and best.freq == FREQUENCIES_HZ[slot.channel]
        return Manners.BOTH if ours and slot.window(end, airtime).inside else Manners.SECOND

    def octets(self, opens_at: float, data_rate: int) -> int:
        """The longest PHYPayload that, sent from `opens_at` (Unix s) on, disturbs nobody's slot; 0: none."""
        if self._plan.open_time is None:
            return UNLIMITED
        at_ms = self._keeper.slot_time(opens_at) * 1000 - TURN_MS
        free = min(self._book.times.free_ms(at_ms), self._until_beacon(at_ms)) - 2 * TURN_MS
        return bisect_right(self._lengths(data_rate), free) - 1 if free > 0 else 0

    def _until_beacon(self, at_ms: float) -> float:
        beacon = self._plan.beacon
        if beacon is None:
            return float(FREE_MS)
        behind = (at_ms - beacon.phase_ms) % (beacon.period_s * 1000)
        on_air = airtime_s(BEACON_OCTETS, beacon.data_rate, uplink=False) * 1000
        return 0.0 if behind < on_air else beacon.period_s * 1000 - behind

    def _lengths(self, data_rate: int) -> list[float]:
        """Milliseconds of a downlink by its octets."""
        found = self._airtimes.get(data_rate)
        if found is None:
            found = [airtime_s(octets, data_rate, uplink=False) * 1000 for octets in range(MAX_PHY + 1)]
            self._airtimes[data_rate] = found
        return found
