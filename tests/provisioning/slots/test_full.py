"""A concentrator without room: newcomers lie over others, the operator is told, and it is over when room comes back."""

import pytest

from meterwire.slots import airtime_ms
from provisioning.audit.models import Entry
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.fleet.services import create_adapters, move_adapter
from provisioning.fleet.services.adapters import NewAdapter
from provisioning.pairing.services import follow_rate
from provisioning.slots.models import Assignment, Occupancy, SlotPlan
from provisioning.slots.queries import fullness, how_many_fit
from provisioning.slots.services import assign, assign_many, change_rate, heard_by, note_margin, release, set_plan
from tests.cast import JOIN_EUI, STAGE, Cast
from tests.provisioning.slots.day_judge import collisions
from tests.provisioning.slots.test_assigning import NOW

ROOM = 40  # 8 channels of which half is reserved, 5.66 s every minute


@pytest.fixture
def cellar(cast: Cast) -> Concentrator:
    row = cast.concentrator()
    set_plan(cast.operator, row, quantum_ms=10, guard_ms=2000, reserve=500, previous=False)
    return row


@pytest.fixture
def crowd(cast: Cast, cellar: Concentrator) -> list[Adapter]:
    """As many as there is room for."""
    adapters = [cast.adapter(cellar.site, cellar) for _ in range(ROOM)]
    for adapter in adapters:
        assign(STAGE, adapter, period_s=60, data_rate=0)
    assert not Assignment.objects.filter(overlap_ms__gt=0).exists()
    return adapters


def late(cast: Cast, cellar: Concentrator, data_rate: int = 0) -> Assignment:
    return assign(STAGE, cast.adapter(cellar.site, cellar), period_s=60, data_rate=data_rate, level_dbm=-120.4)


def test_who_comes_when_it_is_full_lies_over_others_outside_of_closed_time(
    cast: Cast, cellar: Concentrator, crowd: list[Adapter]
) -> None:
    assert how_many_fit(cellar, period_s=60)[0] == 0
    row = late(cast, cellar)
    assert row.overlap_ms > 0
    assert row.level_dbm == -120
    assert row.phase_ms + row.length_ms <= 30_000
    assert Occupancy.objects.get(assignment=row).shared
    assert SlotPlan.objects.get(pk=cellar.pk).full_since is not None
    told = Entry.objects.filter(action="slot.assigned").latest("seq")
    assert -99 <= float(told.data["margin_db"]) <= 99
    assert [entry.object_id for entry in Entry.objects.filter(action="slot_plan.full")] == [str(cellar.pk)]
    assert (fullness(cellar).slots, fullness(cellar).overlapping) == (41, 1)


def test_when_room_comes_back_it_gets_a_place_of_its_own_and_nobody_else_moves(
    cast: Cast, cellar: Concentrator, crowd: list[Adapter]
) -> None:
    row = late(cast, cellar)
    before, version = str(row), row.version
    assert str(assign(STAGE, row.adapter, period_s=60, data_rate=0)) == before
    others = {one.pk: str(one) for one in Assignment.objects.exclude(pk=row.pk)}
    release(STAGE, crowd[7])
    others.pop(crowd[7].pk)
    cured = assign(STAGE, row.adapter, period_s=60, data_rate=0)
    assert (cured.overlap_ms, cured.version) == (0, version + 1)
    assert {pk: str(Assignment.objects.get(pk=pk)) for pk in others} == others
    assert SlotPlan.objects.get(pk=cellar.pk).full_since is None
    assert not Occupancy.objects.filter(shared=True).exists()


def test_who_is_refused_the_place_that_seemed_free_is_told_the_one_that_it_keeps(
    cast: Cast, cellar: Concentrator, crowd: list[Adapter]
) -> None:
    row = late(cast, cellar)
    silent = Assignment.objects.get(adapter=crowd[7])
    laid = Occupancy.objects.get(assignment=silent.pk)
    release(STAGE, crowd[7])
    release(STAGE, late(cast, cellar).adapter)
    Assignment.objects.filter(pk=silent.pk).update(concentrator=silent.concentrator_id)
    laid.save(force_insert=True)  # by somebody who tells nobody
    kept = assign(STAGE, row.adapter, period_s=60, data_rate=0)
    known = Assignment.objects.get(pk=row.pk)
    assert (kept.slot, kept.overlap_ms) == (known.slot, known.overlap_ms) == (row.slot, row.overlap_ms)


def test_it_is_over_too_when_the_last_that_lay_over_others_goes_to_another_concentrator(
    cast: Cast, cellar: Concentrator, crowd: list[Adapter]
) -> None:
    adapter, beside = late(cast, cellar).adapter, cast.concentrator(cellar.site)
    move_adapter(STAGE, adapter, site=cellar.site, concentrator=beside)
    assert assign(STAGE, adapter, period_s=60, data_rate=0).concentrator_id == beside.pk
    assert not SlotPlan.objects.filter(full_since__isnull=False).exists()


def test_who_has_a_place_of_its_own_is_not_laid_over_others_for_a_wider_guard(cast: Cast, cellar: Concentrator) -> None:
    set_plan(STAGE, cellar, quantum_ms=10, guard_ms=1900, reserve=500, previous=False)
    adapters = [cast.adapter(cellar.site, cellar) for _ in range(ROOM)]
    before = {one.pk: str(assign(STAGE, one, period_s=60, data_rate=0)) for one in adapters}
    set_plan(STAGE, cellar, quantum_ms=10, guard_ms=2000, reserve=500, previous=False)
    for one in adapters:
        assign(STAGE, one, period_s=60, data_rate=0)
    rows = Assignment.objects.filter(overlap_ms=0)
    assert len(rows) == ROOM
    assert {1900, 2000} == {row.guard_ms for row in rows}
    assert all(str(row) == before[row.pk] for row in rows if row.guard_ms == 1900)
    assert SlotPlan.objects.get(pk=cellar.pk).full_since is None


def test_who_lies_over_others_is_not_moved_over_others_again_for_a_faster_rate(
    cast: Cast, cellar: Concentrator, crowd: list[Adapter]
) -> None:
    row = late(cast, cellar)
    before = str(row)
    assert str(change_rate(STAGE, row.adapter, 1)) == before
    assert Assignment.objects.get(pk=row.pk).version == row.version
    assert [follow_rate(STAGE, row.adapter, 2) for _ in range(3)] == [False] * 3
    release(STAGE, crowd[3])
    faster = change_rate(STAGE, row.adapter, 1)
    assert (faster.data_rate, faster.overlap_ms) == (1, 0)


def test_when_full_a_slower_data_rate_than_asked_for_may_disturb_less(
    cast: Cast, cellar: Concentrator, crowd: list[Adapter]
) -> None:
    row = late(cast, cellar, data_rate=5)
    assert row.data_rate <= 5
    assert row.length_ms >= 2 * row.guard_ms
    held = Assignment.objects.get(pk=row.pk)
    assert held.slot is not None
    assert held.slot.data_rate == row.data_rate


def test_when_full_nobody_gets_a_data_rate_so_slow_that_the_duty_cycle_forbids_its_slot(cast: Cast) -> None:
    """At 60 s slower frames would disturb less, but the law allows no more than 600 ms of them."""
    row = cast.concentrator()
    set_plan(cast.operator, row, quantum_ms=10, guard_ms=0, reserve=500, previous=False)
    new = [NewAdapter(f"70b3d57ed3{one:06x}", JOIN_EUI) for one in range(how_many_fit(row, period_s=60)[2] + 8)]
    adapters = create_adapters(STAGE, cast.organisation, new, site=row.site, concentrator=row)
    assign_many(STAGE, cast.organisation, adapters, period_s=60, size=16, data_rate=lambda _: 2)
    late = Assignment.objects.filter(overlap_ms__gt=0)
    assert len(late) == 8
    assert all(airtime_ms(one.size, one.data_rate) <= 600 for one in late)


def test_a_level_follows_from_what_the_concentrator_says_of_the_margin(cast: Cast, cellar: Concentrator) -> None:
    row = assign(STAGE, cast.adapter(cellar.site, cellar), period_s=900, data_rate=5, level_dbm=-200)
    assert row.level_dbm == -150
    note_margin(row, 12.0)
    assert Assignment.objects.get(pk=row.pk).level_dbm == round(-119.5 - 7.5 + 12)
    again = assign(STAGE, row.adapter, period_s=900, data_rate=5, level_dbm=-99.6)
    assert (again.level_dbm, again.version) == (-100, row.version)
    assert Assignment.objects.get(pk=row.pk).level_dbm == -100
    release(STAGE, row.adapter)
    assert Assignment.objects.get(pk=row.pk).level_dbm is None


def test_who_is_heard_at_a_full_neighbour_finds_what_is_free_there(
    cast: Cast, cellar: Concentrator, crowd: list[Adapter]
) -> None:
    beside = cast.concentrator(cellar.site)
    adapter = cast.adapter(cellar.site, beside)
    heard_by(STAGE, adapter, cellar, NOW, -110.0)
    row = assign(STAGE, adapter, period_s=900, data_rate=5)
    assert row.overlap_ms == 0
    assert collisions(cellar) == collisions(beside) == set()
