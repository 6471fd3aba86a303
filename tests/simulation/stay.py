"""A stay in a simulated house, and what can be said of it afterwards."""

import time
from collections import Counter
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from adapter_agent.simulation.reception import Fate
from meterwire.config_records import SlotState
from tests.simulation.house import House, quarters
from tests.simulation.judging import delivered, fates, frames, missed
from tests.simulation.planning import Planned
from tests.support.virtual_loop import VirtualClock, virtually

HOUR_S = 3600.0
SETTLED_S = 2 * HOUR_S  # after the last one got power: by then each clock has been answered often enough to be known


@dataclass(frozen=True)
class Stay:
    """`fates` by place of sending, `missed` as in judging, `errors_ms` of those and of all in slots, rising: all of it
    without the first hours. CPU seconds of this process.
    """

    adapters: int
    hours: float
    arrived: int
    expected: int
    fates: Counter[str]
    missed: int
    errors_ms: tuple[float, ...]
    guard_used: float
    states: Counter[SlotState]
    downlinks: int
    cpu_s: float

    @property
    def delivery(self) -> float:
        return self.arrived / self.expected

    def error_ms(self, share: float) -> float:
        """How far off its moment that share of all frames that were meant for slots began at most."""
        return self.errors_ms[max(0, ceil(share * len(self.errors_ms)) - 1)]

    @property
    def collided(self) -> int:
        """Frames that were in their own slot and met another one there."""
        return self.fates[f"slot {Fate.COLLIDED.value}"]


def stay(house_plan: Planned, hours: float) -> Stay:
    """Live in a house with that plan for so many hours of virtual time."""
    with quarters() as folder:
        return virtually(lambda clock: _live(folder, clock, house_plan, hours))


async def _live(folder: Path, clock: VirtualClock, house_plan: Planned, hours: float) -> Stay:
    begun, settled_s = time.process_time(), house_plan.within_s + SETTLED_S
    house = House(folder, house_plan.flats, clock, plan=house_plan.plan, records=house_plan.records)
    async with house.lived_in():
        await house.pass_time(settled_s)
        settled, downlinks = clock.time(), house.air.account.heard
        await house.pass_time(hours * HOUR_S - settled_s)
        states = Counter(flat.state for flat in house.flats)
    seen = frames(house, settled)
    beside = missed(seen)
    meant = [one for one in seen if one.in_slot] + beside
    arrived, expected = delivered(house, settled, clock.time() - house.flats[0].slot.period_s)
    return Stay(
        adapters=len(house.flats),
        hours=hours - settled_s / HOUR_S,
        arrived=arrived,
        expected=expected,
        fates=fates(seen),
        missed=len(beside),
        errors_ms=tuple(sorted(abs(one.offset_s) * 1000 for one in meant)),
        guard_used=max(abs(one.offset_s) / (one.flat.slot.guard_ms / 1000) for one in meant),
        states=states,
        downlinks=house.air.account.heard - downlinks,
        cpu_s=time.process_time() - begun,
    )
