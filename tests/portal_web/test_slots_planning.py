"""Plan before building: meters that fit, meters that do not and what would help, and input that nobody can plan."""

from collections.abc import Callable

import pytest
from django.test import Client

from meterwire.slots import Kind
from portal.web.slots_planning import MIXES, Meters, planned
from provisioning.accounts.models import User
from provisioning.slots.models import SlotPlan
from tests.portal_web.world import World

Browse = Callable[[User | None], Client]
PLAN = {"guard_ms": "60", "reserve": "25", "beacon_period_s": "0", "beacon_data_rate": "3", "quantum_ms": "2"}


def ask(world: World, browse: Browse, *rows: tuple[str, str], **change: str) -> str:
    query = {"rows-TOTAL_FORMS": str(len(rows)), "rows-INITIAL_FORMS": "0", **PLAN}
    for number, (count, distance) in enumerate(rows):
        fields = {"count": count, "distance": distance, "period_s": "900", "kind": "16"}
        query |= {f"rows-{number}-{name}": value for name, value in fields.items()}
    answer = browse(world.cast.viewer).get("/slots/plan/", query | change)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_two_groups_that_fit(world: World, browse: Browse) -> None:
    said = ask(world, browse, ("40", "5"), ("25", "2"))
    assert "They fit" in said
    assert 'name="rows-2-count"' in said, "an empty group for the next question"
    assert "optional" not in said


def test_too_many_are_counted_and_helped(world: World, browse: Browse) -> None:
    said = ask(world, browse, ("9000", "1"))
    assert "of 9,000 fit" in said
    assert "concentrators that hear each other little" in said


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("0", "5"), "greater than or equal to 1"),
        (("-4", "5"), "greater than or equal to 1"),
        (("many", "5"), "Enter a whole number"),
        (("200001", "5"), "less than or equal to 200000"),
        (("40", "9"), "Select a valid choice"),
        (("", "5"), "Say how many meters there will be"),
    ],
)
def test_what_nobody_can_plan_is_told_at_its_field(
    world: World, browse: Browse, row: tuple[str, str], said: str
) -> None:
    assert said in ask(world, browse, row)


def test_all_groups_together_have_a_bound(world: World, browse: Browse) -> None:
    assert "At most 200,000 meters" in ask(world, browse, ("150000", "5"), ("150000", "5"))


@pytest.mark.parametrize("total", ["9", "1000000", "x", "-1"])
def test_more_groups_than_there_are_rows_are_refused(world: World, browse: Browse, total: str) -> None:
    said = ask(world, browse, ("40", "5"), **{"rows-TOTAL_FORMS": total})
    assert "They fit" not in said
    assert said.count("-count") < 100


def test_a_plan_outside_its_bounds_is_refused(world: World, browse: Browse) -> None:
    assert "less than or equal to 2000" in ask(world, browse, ("40", "5"), guard_ms="5000")


@pytest.mark.parametrize("distance", MIXES)
@pytest.mark.parametrize("count", [1, 7, 99, 1001])
def test_a_mix_loses_and_invents_nobody(distance: str, count: int) -> None:
    assert sum(group.count for group in Meters(count, distance).groups()) == count
    assert sum(MIXES[distance]) == 100


def test_the_previous_value_takes_room() -> None:
    meters = [Meters(30_000, "5")]
    assert planned(meters, SlotPlan(previous=True)).used > planned(meters, SlotPlan()).used
    gateways = [Meters(30_000, "5", kind=Kind.LMN)]
    assert planned(gateways, SlotPlan(previous=True)).used == planned(gateways, SlotPlan()).used


def test_what_is_said_to_help_does(world: World) -> None:
    meters = [Meters(30_000, "mixed")]
    plan = SlotPlan(guard_ms=60)
    assert not planned(meters, plan).fits
    assert any("beacon" in words for words in planned(meters, plan).helps)
    assert planned(meters, SlotPlan(guard_ms=20, beacon_period_s=900)).fits


def test_a_beacon_that_is_planned_already_is_not_advised() -> None:
    (words,) = (
        one
        for one in planned([Meters(25_000, "mixed")], SlotPlan(guard_ms=60, beacon_period_s=300)).helps
        if "beacon" in one
    )
    assert words == "a guard of 20 ms, which the beacon allows"


@pytest.mark.parametrize(
    ("distance", "period_s", "rates"), [("0", 60, "SF12"), ("far", 60, "SF11, SF12"), ("1", 60, "SF11"), ("2", 60, "")]
)
def test_what_the_duty_cycle_forbids_is_told(distance: str, period_s: int, rates: str) -> None:
    told = planned([Meters(40, distance, period_s), Meters(40, "0", 300)], SlotPlan()).too_often
    assert [words.partition(" a telegram every ")[0] for words in told] == ([f"At {rates}"] if rates else [])


def test_a_longer_telegram_may_come_less_often() -> None:
    assert not planned([Meters(40, "2", 60)], SlotPlan()).too_often
    assert planned([Meters(40, "2", 60, Kind.STATIC)], SlotPlan()).too_often


def test_the_page_says_what_the_duty_cycle_forbids(world: World, browse: Browse) -> None:
    assert "duty cycle" not in ask(world, browse, ("40", "0"))
    assert "more than the duty cycle allows" in ask(world, browse, ("40", "0"), **{"rows-0-period_s": "60"})


def test_a_group_whose_number_was_cleared_is_left_out(world: World, browse: Browse) -> None:
    said = ask(world, browse, ("40", "5"), ("", "2"), **{"rows-INITIAL_FORMS": "2"})
    assert "They fit" in said
    assert "This field is required" not in said
