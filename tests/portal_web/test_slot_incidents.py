"""Incidents of time slots: one for each concentrator and cause, for whoever may see the place."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from portal.web import slot_incidents
from portal.web.slot_incidents import take
from provisioning.accounts.models import Role, User
from provisioning.slots.models import Assignment, Neighbour, SlotPlan
from tests.portal_web.slotted import a_day, a_neighbour, settled
from tests.portal_web.world import World

Browse = Callable[[User | None], Client]
WEEK = range(7)


@pytest.fixture
def held(world: World) -> Assignment:
    return settled(world.adapter)


def told(browse: Browse, person: User) -> str:
    slot_incidents.shelf.forget()
    answer = browse(person).get("/incidents/")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


@pytest.mark.parametrize(
    ("figures", "title", "text"),
    [
        ({"late_ms": 51.0}, "1 adapter has nearly used up its guard", "The worst uses 85 % of it"),
        ({"rate_ppb": -61_000}, "the clock of 1 adapter drifts far", "By −61 ppm at most"),
        ({"arrived": 60, "inside": 60}, "1 adapter loses telegrams in its slot", "Of the worst one 62 % arrive"),
        ({"inside": 4, "outside": 90}, "1 adapter ignores its slot", "Of the worst one 96 % come outside of it"),
    ],
)
def test_what_was_measured_is_told_once_with_what_to_do(
    world: World, browse: Browse, held: Assignment, figures: dict[str, Any], title: str, text: str
) -> None:
    for back in WEEK:
        a_day(held, back, **figures)
    said = told(browse, world.cast.operator)
    assert f"{world.site.name}: {title}" in said
    assert text in said
    assert len(take((world.cast.organisation.pk, None))) == 1


def test_a_day_as_it_should_be_is_no_incident(world: World, browse: Browse, held: Assignment) -> None:
    for back in WEEK:
        a_day(held, back)
    assert take((world.cast.organisation.pk, None)) == []


def test_many_adapters_with_one_trouble_are_one_incident(world: World, browse: Browse) -> None:
    for _number in range(3):
        adapter, _pairing = world.paired_adapter()
        row = settled(adapter)
        for back in WEEK:
            a_day(row, back, late_ms=0.9 * row.guard_ms)
    (case,) = take((world.cast.organisation.pk, None))
    assert (case.kind, case.adapters, case.place) == ("guard", 3, world.site.name)
    assert "3 adapters have nearly used up theirs" in told(browse, world.cast.operator)


def test_an_adapter_that_runs_an_older_slot_is_told(world: World, browse: Browse, held: Assignment) -> None:
    Assignment.objects.filter(pk=held.pk).update(version=9)
    assert "1 adapter runs another slot than given" in told(browse, world.cast.operator)


def test_a_full_concentrator_says_what_makes_room(world: World, browse: Browse, held: Assignment) -> None:
    SlotPlan.objects.filter(pk=world.concentrator.pk).update(full_since=world.now)
    Assignment.objects.filter(pk=held.pk).update(overlap_ms=40)
    said = told(browse, world.cast.operator)
    assert "no room for slots of their own" in said
    assert "1 adapter shares time with others" in said
    assert f"/concentrators/{world.concentrator.pk}/slots/?show=overlap" in said


def test_a_neighbours_slot_that_meets_one_here_is_told(world: World, browse: Browse, held: Assignment) -> None:
    a_neighbour(world, held, world.concentrator, conflict=True)
    assert "1 slot of a neighbour meets one there" in told(browse, world.cast.operator)


def test_a_neighbour_that_is_no_longer_believed_needs_nobody(world: World, browse: Browse, held: Assignment) -> None:
    a_neighbour(world, held, world.concentrator, conflict=True)
    Neighbour.objects.update(expires_at=world.now - timedelta(minutes=1))
    assert "slot of a neighbour" not in told(browse, world.cast.operator)


@pytest.mark.parametrize(
    ("detail", "text"), [({}, "Its adapters contradict it."), ({"offset_ms": 3_600_000}, "It jumped by 3,600.0 s.")]
)
def test_a_concentrator_whose_clock_is_wrong_is_told_until_it_is_right(
    world: World, browse: Browse, held: Assignment, detail: dict[str, Any], text: str
) -> None:
    reason = "jump" if detail else "contradicted"
    world.event("clock", reason, timedelta(hours=1), adapter=None, dev_eui="", detail=detail)
    assert text in told(browse, world.cast.operator)
    world.event("clock", "settled" if detail else "agreed", adapter=None, dev_eui="")
    assert text not in told(browse, world.cast.operator)


def test_of_too_many_the_wrong_clock_is_kept(
    world: World, browse: Browse, held: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_incidents, "MAX_INCIDENTS", 2)
    a_neighbour(world, held, world.concentrator, conflict=True)
    SlotPlan.objects.filter(pk=world.concentrator.pk).update(full_since=world.now)
    world.event("clock", "contradicted", timedelta(hours=1), adapter=None, dev_eui="", detail={})
    assert [case.kind for case in take((world.cast.organisation.pk, None))] == ["clock", "full"]


def test_others_are_told_nothing(world: World, browse: Browse, held: Assignment) -> None:
    SlotPlan.objects.filter(pk=world.concentrator.pk).update(full_since=world.now)
    assert "no room for slots" not in told(browse, world.cast.outsider)
    elsewhere = world.cast.site("Elsewhere 1")
    member = world.cast.home.member(Role.OPERATOR)
    member.all_sites = False
    member.save()
    member.site_access.create(site=elsewhere)
    assert "no room for slots" not in told(browse, world.cast.operator)
    assert "no room for slots" in told(browse, world.cast.viewer)
