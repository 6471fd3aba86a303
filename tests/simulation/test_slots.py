"""Ten adapters side by side on one channel, each with a wrong crystal: after settling nobody is in anybody's way."""

from collections import Counter
from itertools import pairwise

from adapter_agent.simulation.crystal import Crystal
from adapter_agent.simulation.reception import Fate
from meterwire.config_records import SlotState
from meterwire.slots import Kind, Slot, length_ms
from meterwire.values_telegram import PORT
from tests.simulation.flat import Flat
from tests.simulation.house import House, quarters
from tests.simulation.judging import frames
from tests.support.virtual_loop import VirtualClock, virtually

ADAPTERS = 10
HOURS = 3
SETTLED_S = 3600.0
PERIOD_S = 300
CUTS = (-20e-6, 20e-6, -13e-6, 8e-6, 0.0)


def side_by_side() -> list[Flat]:
    """Their slots touch each other; no time is open to all."""
    guard_ms, data_rate = 60, 5
    length = length_ms(Kind.VALUES_PREVIOUS.size, data_rate, guard_ms)
    return [
        Flat(
            number,
            Crystal(CUTS[number % 5], ageing=1e-9, mean_c=16.0 + number, swing_c=3.0, phase=number / 10),
            Slot(2, 20_000 + number * length, PERIOD_S, data_rate, guard_ms, length, 1),
            ahead_s=number - 5.0,
        )
        for number in range(1, ADAPTERS + 1)
    ]


def test_after_settling_no_telegram_collides_or_misses_its_slot():
    flats = side_by_side()

    async def live(clock: VirtualClock) -> None:
        with quarters() as folder:
            house = House(folder, flats, clock)
            async with house.lived_in():
                await house.pass_time(SETTLED_S)
                settled, collided = clock.time(), house.air.account.fates[Fate.COLLIDED]
                await house.pass_time((HOURS - 1) * 3600.0)
                assert Counter(flat.state for flat in flats) == {SlotState.IN_SLOT: ADAPTERS}
                assert house.air.account.fates[Fate.COLLIDED] == collided
            regular = [one for one in frames(house, settled) if one.port == PORT and (one.in_slot or not one.confirmed)]
            assert all(one.in_slot for one in regular), "none misses its slot"
            sent = Counter(one.flat.number for one in regular)
            assert min(sent[flat.number] for flat in flats) >= (HOURS - 1) * 3600 // PERIOD_S - 1

    assert not any(one.slot.overlaps(other.slot) for one, other in pairwise(flats))
    virtually(live)
