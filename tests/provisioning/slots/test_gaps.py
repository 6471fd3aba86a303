"""What is counted in gaps is what the allocator then really gives."""

import random
from dataclasses import replace
from math import ceil

import pytest

from meterwire.slots import PERIODS, length_ms
from provisioning.slots.allocator import Allocator, Closed
from provisioning.slots.closed_time import closed
from provisioning.slots.gaps import Gaps
from provisioning.slots.models import SlotPlan
from provisioning.slots.queries import Group, closed_share, plan_before_building
from tests.support.steps import within

RESERVE = Closed(292_500, 300, 7_500)
FAST, SLOW = length_ms(16, 5, 60), length_ms(16, 0, 60)


def really(allocator: Allocator, length: int, period_s: int, limit: int = 100_000) -> int:
    """How many more the allocator gives before it refuses."""
    given = 0
    while given < limit and allocator.add(("more", length, period_s, given), "c", length, period_s) is not None:
        given += 1
    return given


def filled(allocator: Allocator, seed: int, many: int) -> list[tuple[int, int, int, int]]:
    """A site where slots of all lengths and periods came and went."""
    luck, held = random.Random(seed), {}
    for number in range(many):
        length = length_ms(16, luck.randrange(6), 60)
        period_s = luck.choice((300, 900, 900, 900, 900, 3600, 86_400))
        place = allocator.add(number, "c", length, period_s)
        if place is not None:
            held[number] = (place.channel, place.phase_ms, period_s, length)
        if luck.random() < 0.3 and held:
            gone = luck.choice(list(held))
            allocator.remove(gone)
            del held[gone]
    return list(held.values())


def test_an_empty_concentrator_has_its_open_time_free() -> None:
    assert Gaps(2, ()).free_ms == 8 * 900_000
    assert Gaps(2, (RESERVE,)).free_ms == 8 * (900_000 - 3 * 7_500)
    assert closed_share(SlotPlan()) == pytest.approx(0.025)
    assert closed_share(SlotPlan(reserve=0)) == 0


@pytest.mark.parametrize("period_s", PERIODS)
@pytest.mark.parametrize("length", [FAST, SLOW])
def test_as_many_fit_on_an_empty_one_as_are_counted(length: int, period_s: int) -> None:
    counted = Gaps(2, (RESERVE,)).count(length, period_s)
    if counted > 100_000:  # of a day: 96 turns in each place
        frame = really(Allocator(2, reserve=0, downlinks=(RESERVE,)), length, 900)
        assert counted == frame * period_s // 900
    else:
        assert really(Allocator(2, reserve=0, downlinks=(RESERVE,)), length, period_s) == counted


@pytest.mark.parametrize("seed", range(4))
def test_beside_slots_that_came_and_went_as_many_fit_as_are_counted(seed: int) -> None:
    allocator = Allocator(2, reserve=0, downlinks=(RESERVE,))
    gaps = Gaps(2, (RESERVE,), filled(allocator, seed, 1500))
    for length in (length_ms(16, 5, 60), length_ms(16, 3, 60)):
        counted, given = gaps.count(length, 900), really(allocator, length, 900)
        assert given <= counted
        assert given >= counted * 0.99
        for number in range(given):
            allocator.remove(("more", length, 900, number))


def test_turns_left_in_shared_places_are_counted_and_given() -> None:
    allocator = Allocator(2, reserve=0)
    place = allocator.add("hour", "c", FAST, 3600)
    assert place is not None
    taken = [(place.channel, place.phase_ms, 3600, FAST)]
    rest = Gaps(2, (), taken).count(FAST, 86_400) - Gaps(2, (), taken).count(FAST, 900) * 96
    assert rest == 72
    assert Gaps(2, (), taken).count(FAST, 3600) == Gaps(2, (), taken).count(FAST, 900) * 4 + 3


def test_what_is_filled_is_no_longer_free() -> None:
    gaps = Gaps(2, (RESERVE,))
    before = gaps.count(FAST, 900)
    assert gaps.fill(FAST, 900, 1000) == 1000
    assert gaps.count(FAST, 900) == before - 1000
    assert gaps.fill(FAST, 86_400, 97) == 97
    assert gaps.count(FAST, 900) == before - 1002
    assert gaps.count(FAST, 86_400) == (before - 1002) * 96 + 95
    assert gaps.fill(SLOW, 60, 10_000) < 10_000
    assert gaps.count(SLOW, 60) == 0


@pytest.mark.parametrize(("period_s", "turns"), [(3600, 4), (86_400, 96)])
def test_many_groups_with_long_periods_are_planned_at_once(period_s: int, turns: int) -> None:
    limit = Gaps(2, closed(SlotPlan())).count(FAST, period_s)
    planned = within(10_000_000, lambda: plan_before_building([Group(3999, 5, period_s=period_s)] * 50))
    assert sum(planned.placed) == min(50 * 3999, limit)
    assert planned.used == pytest.approx(sum(planned.placed) * FAST / (turns * 8 * 900_000))


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_that_fits_in_any_order_is_kept_by_the_allocator_in_any_order(seed: int) -> None:
    """The largest of its kind: with a tenth more of everything, the order would matter."""
    luck = random.Random(seed)
    plan = SlotPlan(guard_ms=luck.choice((20, 60, 100)), beacon_period_s=luck.choice((0, 300)))
    groups = [Group(luck.randrange(4, 40), luck.randrange(6), period_s=luck.choice(PERIODS[:4])) for _ in range(6)]
    while plan_before_building(groups, plan).any_order:
        kept, groups = groups, [replace(group, count=ceil(group.count * 1.1)) for group in groups]
    assert plan_before_building(kept, plan).used > 0.3
    assert refused(kept, plan, luck) == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_plan_that_just_fits_is_kept_but_for_one_in_500(seed: int) -> None:
    luck = random.Random(seed)
    plan = SlotPlan(guard_ms=20, beacon_period_s=300)
    counts = [luck.randrange(200, 2000) for _ in range(6)]
    groups = [Group(count, rate) for rate, count in enumerate(counts)]
    rest = plan_before_building([*groups, Group(100_000, 5)], plan).placed[-1]
    groups.append(Group(rest, 5))
    assert plan_before_building(groups, plan).any_order
    assert refused(groups, plan, luck) <= sum(group.count for group in groups) / 500


def test_short_periods_that_come_last_may_find_no_room() -> None:
    plan = SlotPlan(guard_ms=20)
    groups = [Group(4000, 0), Group(20, 5, period_s=60)]
    planned = plan_before_building(groups, plan)
    assert (planned.fits, planned.any_order) == (True, False)


def refused(groups: list[Group], plan: SlotPlan, luck: random.Random) -> int:
    """How many the allocator finds no place for when they come in a random order."""
    allocator = Allocator(2, reserve=0, downlinks=closed(plan))
    wanted = [(length_ms(16, one.data_rate, plan.guard_ms), one.period_s) for one in groups for _ in range(one.count)]
    luck.shuffle(wanted)
    return sum(allocator.add(number, "c", *wish) is None for number, wish in enumerate(wanted))
