"""What goes wrong in a house: somebody ignores its slot, a crystal is far off, the concentrator has lost the time."""

from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from adapter_agent.simulation.crystal import Crystal
from adapter_agent.simulation.reception import Fate
from meterwire.config_records import SlotState
from tests.simulation.flat import Flat
from tests.simulation.house import House, quarters
from tests.simulation.judging import delivered, frames, missed
from tests.simulation.planning import planned
from tests.support.virtual_loop import VirtualClock, virtually

T = TypeVar("T")
ADAPTERS = 8
HOUR_S = 3600.0
SETTLED_S = 3 * HOUR_S
WRONG_S = 3607.0  # an hour, and not a whole number of slots

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]


def in_a_house(
    work: Callable[[House, VirtualClock], Coroutine[Any, Any, T]],
    *,
    change: Callable[[Flat], Flat] = lambda flat: flat,
    wrong_s: float = 0.0,
    **options: Any,
) -> T:
    """The result of `work` in a house of ADAPTERS, which gets the concentrator's clock, `wrong_s` ahead.

    `change` is made to the first flat, `options` are the house's.
    """
    plan = planned(ADAPTERS, seed=4)
    first, *others = plan.flats
    flats = [replace(change(first), starts_s=300.0), *(replace(flat, starts_s=60.0 * flat.number) for flat in others)]

    async def live(true: VirtualClock, folder: Path) -> T:
        own = true.beside()
        own.set(wrong_s)
        house = House(folder, flats, true, clock=own, plan=plan.plan, records=plan.records, **options)
        async with house.lived_in():
            return await work(house, own)

    with quarters() as folder:
        return virtually(lambda true: live(true, folder))


def states(house: House) -> Counter[SlotState]:
    return Counter(flat.state for flat in house.flats)


def test_who_ignores_its_slot_is_named_and_costs_the_others_nothing_but_chance():
    async def work(house: House, own: VirtualClock) -> None:
        await house.pass_time(SETTLED_S)
        since = house.true.time()
        await house.pass_time(9 * HOUR_S)
        stranger, *others = house.flats
        seen = frames(house, since)
        assert stranger.state is SlotState.NONE
        assert {flat.state for flat in others} == {SlotState.IN_SLOT}
        assert not any(one.in_slot for one in seen if one.flat is stranger)
        assert not missed(seen)
        told = [event.detail for event in house.events if event.kind == "slot" and event.dev_eui == stranger.dev_eui]
        assert sum(detail["outside"] for detail in told) >= 30
        arrived, expected = delivered(house, since, house.true.time() - 900.0)
        assert arrived >= 0.99 * expected

    in_a_house(work, change=lambda flat: replace(flat, configured=False))


def test_a_crystal_that_drifts_by_100_ppm_keeps_its_slot_or_stays_away_from_it():
    async def work(house: House, own: VirtualClock) -> None:
        await house.pass_time(SETTLED_S)
        since = house.true.time()
        await house.pass_time(9 * HOUR_S)
        seen = frames(house, since)
        assert not missed(seen)
        assert states(house) == {SlotState.IN_SLOT: ADAPTERS}
        assert not any(one.fate is Fate.COLLIDED for one in seen if one.in_slot)
        fast = house.flats[0]
        assert sum(one.in_slot for one in seen if one.flat is fast) >= 9 * 4 - 2
        rates = [
            event.detail["rate_ppb"]
            for event in house.events
            if event.kind == "slot" and event.dev_eui == fast.dev_eui and event.detail.get("rate_ppb")
        ]
        assert rates
        assert all(abs(rate) < 5000 for rate in rates), "what is left of 100,000 once it has been told"

    in_a_house(work, change=lambda flat: replace(flat, crystal=Crystal(cut=100e-6, mean_c=25.0)))


def test_after_a_wrong_hour_all_fall_back_say_so_and_come_back_into_their_slots():
    """The concentrator runs an hour ahead, and is believed; then NTP corrects it."""

    async def work(house: House, own: VirtualClock) -> None:
        await house.pass_time(SETTLED_S)
        assert states(house) == {SlotState.IN_SLOT: ADAPTERS}, "all are wrong together"
        assert missed(frames(house, house.true.time() - HOUR_S))
        own.set(-WRONG_S)
        corrected = house.true.time()
        await house.pass_time(9 * HOUR_S)
        for flat in house.flats:
            assert SlotState.NO_TRUST in house.said(flat, corrected), "no clock is set back without a word"
        assert states(house) == {SlotState.IN_SLOT: ADAPTERS}
        last = frames(house, house.true.time() - 2 * HOUR_S)
        assert not missed(last)
        assert sum(one.in_slot for one in last) >= ADAPTERS * 7
        assert "jump" in {event.reason for event in house.events if event.kind == "clock"}

    in_a_house(work, gps=False, wrong_s=WRONG_S)


def test_a_clock_that_nobody_vouches_for_sets_no_adapter_wrong():
    """The concentrator's own clock jumps by an hour without NTP after a quiet day, and is set back the next day."""

    async def work(house: House, own: VirtualClock) -> None:
        await house.pass_time(24 * HOUR_S)
        since = house.true.time()
        own.set(WRONG_S)
        await house.pass_time(20 * HOUR_S)
        seen = frames(house, since)
        assert not missed(seen), "what is sent without trust in the slot is not meant for it"
        assert sum(not one.trusted for one in seen) >= ADAPTERS, "they go on sending"
        assert SlotState.IN_SLOT not in states(house)
        own.set(-WRONG_S)
        back = house.true.time()
        await house.pass_time(6 * HOUR_S)
        assert states(house) == {SlotState.IN_SLOT: ADAPTERS}
        assert not missed(frames(house, back + 3 * HOUR_S))

    in_a_house(work, gps=False, quality="free")
