"""When no adapter has a slot at a concentrator: the reserve for frames without one, and the concentrator's beacon."""

from math import ceil
from typing import Final

from meterwire import beacon as beacons
from meterwire.config_records import BeaconRecord, OpenTimeRecord
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.eu868 import EU868
from provisioning.slots.allocator import Closed
from provisioning.slots.allocator.grid import MAX_RESERVE, OPEN_MINUTE, RESERVE_PERIOD_S
from provisioning.slots.models import SlotPlan

BEACON_MARGIN_MS: Final = 20  # before and after: what an adapter that listens may be off by (design 7)


def open_time(plan: SlotPlan) -> OpenTimeRecord | None:
    """What is open for ever, the reserve: the end of every fifth minute, or of each where it is over a tenth.

    Open time is one piece within a minute. None for a plan without reserve.
    """
    if not plan.reserve:
        return None
    period_s = RESERVE_PERIOD_S if plan.reserve <= 1000 * MAX_RESERVE else 60
    length_ms = plan.reserve * period_s
    return OpenTimeRecord(period_s, period_s * 1000 - length_ms, length_ms)


def open_now(plan: SlotPlan) -> OpenTimeRecord | None:
    """What adapters and concentrator are told of open time: all of the fifth minute until somebody has a slot there.

    Slots come there last. So what adapters ask and are answered between their slots has eight times as much room
    until a concentrator is about half full. A beacon in each minute would deafen it just when all begin to ask.
    """
    kept = open_time(plan)
    if kept is None or kept.period_s != OPEN_MINUTE.period_s or not plan.open_minute or plan.beacon_period_s == 60:
        return kept
    return OpenTimeRecord(OPEN_MINUTE.period_s, OPEN_MINUTE.phase_ms, OPEN_MINUTE.length_ms)


def beacon(plan: SlotPlan) -> BeaconRecord | None:
    """Where the concentrator's beacon is heard; None for a plan without. Its frame starts with its period."""
    if not plan.beacon_period_s:
        return None
    return BeaconRecord(EU868.rx2_frequency_hz, plan.beacon_data_rate, plan.beacon_period_s, 0)


def closed(plan: SlotPlan) -> tuple[Closed, ...]:
    """All of it, on all channels: a concentrator is deaf while it sends its beacon."""
    parts = []
    if (reserve := open_time(plan)) is not None:
        parts.append(Closed(reserve.phase_ms, reserve.period_s, reserve.length_ms))
    if (sent := beacon(plan)) is not None:
        airtime_ms = airtime_s(beacons.LENGTH, sent.data_rate, uplink=False) * 1000
        parts.append(Closed(0, sent.period_s, ceil(airtime_ms) + BEACON_MARGIN_MS))
        parts.append(Closed(sent.period_s * 1000 - BEACON_MARGIN_MS, sent.period_s, BEACON_MARGIN_MS))
    return tuple(parts)


def is_closed(parts: tuple[Closed, ...], phase_ms: int, period_s: int, length_ms: int) -> bool:
    """Whether a slot ever meets closed time, on whatever channel."""
    for part in parts:
        common = min(part.period_s, period_s) * 1000  # of harmonic periods
        behind = (phase_ms - part.phase_ms) % common
        if behind < part.length_ms or common - behind < length_ms:
            return True
    return False
