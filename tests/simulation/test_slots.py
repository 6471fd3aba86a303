"""Ten adapters side by side on one channel, each with a wrong crystal: after settling nobody is in anybody's way."""

from itertools import pairwise
from pathlib import Path

import pytest

from adapter_agent.simulation.crystal import Crystal
from concentrator_agent.config import RegionSettings
from meterwire.config_records import SlotState
from tests.concentrator_agent.lab import Lab
from tests.simulation.site import PatientClock, Plant, Site, slots

HOURS = 2
SETTLED_S = 3600.0


@pytest.fixture
def site(tmp_path: Path):
    clock = PatientClock()
    lab = Lab(tmp_path, clock, RegionSettings(), quality="gps")
    plants = []
    for number, slot in enumerate(slots(10), 1):
        cut = (-20e-6, 20e-6, -13e-6, 8e-6, 0.0)[number % 5]
        crystal = Crystal(cut, ageing=1e-9, mean_c=16.0 + number, swing_c=3.0, phase=number / 10)
        plants.append(Plant(number, tmp_path, clock, crystal, slot))
    yield Site(lab, plants, clock)
    for plant in plants:
        plant.close()
    lab.close()


async def test_after_settling_no_telegram_collides_or_is_lost_and_they_lie_in_their_slots(site: Site):
    await site.configure()
    async with site.running():
        await site.pass_time(SETTLED_S)
        settled, collided = site.clock.time(), site.collided()
        await site.pass_time((HOURS - 1) * 3600.0)
        states = [app._parts.slot.state for app in site.apps]
        assert site.collided() == collided
    assert states == [SlotState.IN_SLOT] * 10
    offsets = [site.offsets(plant, settled) for plant in site.plants]
    assert min(map(len, offsets)) >= (HOURS - 1) * 12 - 1, "none is lost, but where the concentrator itself was sending"
    guard_s = site.plants[0].slot.guard_ms / 1000
    inside = [abs(offset) < guard_s for of_plant in offsets for offset in of_plant]
    assert sum(inside) >= 0.97 * len(inside), "a telegram that misses its slot goes out behind it"
    assert not any(one.overlaps(other) for one, other in pairwise(plant.slot for plant in site.plants))
