"""The arithmetic of planning, and who sees which slots."""

import pytest

from meterwire.slots import Kind
from provisioning.errors import Invalid
from provisioning.slots.models import SlotPlan
from provisioning.slots.queries import (
    Group,
    fullness,
    how_many_fit,
    plan_before_building,
    slot_map,
    visible_assignments,
    what_makes_room,
)
from provisioning.slots.services import assign
from tests.cast import STAGE, Cast


def test_a_plan_that_fits_places_everybody_and_one_too_big_says_how_many() -> None:
    fits = plan_before_building([Group(40, 0), Group(25, 5), Group(300, 3, Kind.VALUES, 86_400)])
    assert (fits.placed, fits.fits) == ((40, 25, 300), True)
    full = plan_before_building([Group(10_000, 0)])
    assert not full.fits
    assert 3000 < full.placed[0] < 8 * 900 / 1.4
    assert full.used <= 0.975


def test_sixty_thousand_fit_where_all_are_near_and_the_guard_is_small() -> None:
    assert plan_before_building([Group(60_000, 5)], SlotPlan(guard_ms=20)).fits


def test_a_plan_outside_what_slots_know_is_refused() -> None:
    with pytest.raises(Invalid):
        plan_before_building([Group(1, 6)])
    with pytest.raises(Invalid):
        plan_before_building([Group(1, 5, Kind.VALUES, 600)])


def test_each_slot_that_is_given_leaves_room_for_one_less(cast: Cast) -> None:
    cellar = cast.concentrator()
    before = how_many_fit(cellar)
    adapter = cast.adapter(cellar.site, cellar)
    row = assign(STAGE, adapter, period_s=900, data_rate=5)
    after = how_many_fit(cellar)
    assert after[5] == before[5] - 1
    assert before[0] < before[3] < before[5]
    assert fullness(cellar).used == pytest.approx(row.length_ms / 7_200_000)
    assert [entry[:4] for entry in slot_map(cellar)] == [(adapter.pk, adapter.dev_eui, row.channel, row.phase_ms)]
    assert list(visible_assignments(cast.viewer)) == [row]
    assert not visible_assignments(cast.outsider).exists()


def test_what_would_make_room_is_what_really_has_room_then(cast: Cast) -> None:
    cellar = cast.concentrator()
    assert what_makes_room(cellar) == []
    fits = how_many_fit(cellar)
    assign(STAGE, cast.adapter(cellar.site, cellar), period_s=900, data_rate=2)
    gains = {gain.kind: gain.gains for gain in what_makes_room(cellar)}
    assert gains["second"] == pytest.approx(fits[2], rel=0.01)
    assert gains["rate"] == pytest.approx(fits[3] - fits[2], rel=0.02)
    closer = plan_before_building([Group(100_000, 2)], SlotPlan(guard_ms=20, beacon_period_s=300)).placed[0]
    assert gains["guard"] == pytest.approx(closer - fits[2], rel=0.02)
    (two,) = plan_before_building([Group(100_000, 2, Kind.VALUES_PREVIOUS)]).placed
    assert gains["two_readings"] == pytest.approx(2 * two - fits[2], rel=0.02)


def test_telegrams_that_are_full_take_no_second_reading(cast: Cast) -> None:
    cellar = cast.concentrator()
    assign(STAGE, cast.adapter(cellar.site, cellar), period_s=900, data_rate=0, kind=Kind.STATIC)
    assert {gain.kind for gain in what_makes_room(cellar)} == {"second", "rate", "guard"}
