"""Pairing gives slots, unpairing takes them back, and the database refuses what meets."""

import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from meterwire.config_records import SlotReport, SlotState
from meterwire.slots import Kind
from provisioning.audit.models import Entry
from provisioning.audit.services import audited
from provisioning.errors import Conflict, Forbidden, Invalid
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.fleet.services import create_adapters, move_adapter
from provisioning.fleet.services.adapters import NewAdapter
from provisioning.keys.device_table import device_table
from provisioning.keys.vault import Vault
from provisioning.pairing.models import Configuration
from provisioning.pairing.services import follow_rate, hear_echo, pair, set_reporting, unpair
from provisioning.slots.models import Assignment, Neighbour, Occupancy, SlotPlan
from provisioning.slots.queries import conflicts
from provisioning.slots.services import assign, assign_many, change_rate, hand_on, heard_by, put, release, set_plan
from provisioning.slots.services.neighbours import MAX_NEIGHBOURS
from tests.cast import JOIN_EUI, STAGE, Cast
from tests.provisioning.slots.day_judge import collisions

NOW = timezone.now()


def assert_nobody_meets() -> None:
    """Every pair of slots at one concentrator, by the arithmetic of meterwire alone."""
    rows = Assignment.objects.filter(concentrator__isnull=False, overlap_ms=0)
    for one, other in itertools.combinations(rows, 2):
        if one.concentrator_id == other.concentrator_id:
            assert one.slot is not None
            assert other.slot is not None
            assert not one.slot.overlaps(other.slot), (one, other)


@pytest.fixture
def cellar(cast: Cast) -> Concentrator:
    return cast.concentrator()


def test_a_paired_adapter_has_a_slot_and_its_concentrator_expects_it(cast: Cast, cellar: Concentrator) -> None:
    adapter = cast.keyed_adapter(cellar.site, cellar)
    cast.pairing(adapter)
    slot = Assignment.objects.get(adapter=adapter).slot
    assert slot is not None
    (entry,) = device_table(cellar, Vault.from_settings())
    assert entry.slot is not None
    assert (entry.slot.channel, entry.slot.phase_ms, entry.slot.version) == (slot.channel, slot.phase_ms, 1)
    assert (entry.slot.period_s, entry.slot.data_rate) == (900, 0)


def test_an_unpaired_adapter_gives_its_slot_back_and_the_next_takes_it(cast: Cast, cellar: Concentrator) -> None:
    held = cast.pairing(cast.adapter(cellar.site, cellar))
    before = Assignment.objects.get(adapter=held.adapter)
    unpair(cast.operator, held, reason="moved out")
    gone = Assignment.objects.get(adapter=held.adapter)
    assert (gone.slot, gone.version, Occupancy.objects.count()) == (None, 1, 0)
    assert "100d" not in Configuration.objects.get(adapter=held.adapter).records
    other = cast.adapter(cellar.site, cellar)
    cast.pairing(other)
    after = Assignment.objects.get(adapter=other)
    assert (after.channel, after.phase_ms) == (before.channel, before.phase_ms)


def test_slots_of_all_periods_and_data_rates_never_meet(cast: Cast, cellar: Concentrator) -> None:
    for number, period_s in enumerate((60, 900, 86_400, 300, 3600, 900, 60, 3600, 86_400, 300, 86_400, 900)):
        adapter = cast.adapter(cellar.site, cellar)
        assign(cast.operator, adapter, period_s=period_s, kind=Kind.VALUES, data_rate=number % 6)
    assert_nobody_meets()
    assert Assignment.objects.filter(overlap_ms=0).count() == 12


def test_nothing_that_runs_is_moved_when_an_adapter_comes(cast: Cast, cellar: Concentrator) -> None:
    first = [cast.adapter(cellar.site, cellar) for _ in range(5)]
    places = [str(assign(STAGE, adapter, period_s=900, data_rate=5)) for adapter in first]
    for _ in range(5):
        assign(STAGE, cast.adapter(cellar.site, cellar), period_s=60, data_rate=0)
    assert [str(Assignment.objects.get(adapter=adapter)) for adapter in first] == places


def test_a_changed_data_rate_keeps_the_phase_and_raises_the_version(cast: Cast, cellar: Concentrator) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    before = assign(STAGE, adapter, period_s=900, data_rate=5).phase_ms
    for _ in range(20):
        assign(STAGE, cast.adapter(cellar.site, cellar), period_s=900, data_rate=5)
    row = change_rate(cast.operator, adapter, 3)
    assert abs(row.phase_ms - before) <= 1800
    assert (row.data_rate, row.version) == (3, 2)
    assert_nobody_meets()


def test_a_proposed_rate_is_followed_when_it_is_proposed_in_a_row(cast: Cast, cellar: Concentrator) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    cast.pairing(adapter)
    Assignment.objects.update(level_dbm=-140)  # known, so that its first rate is no guess
    said = [follow_rate(STAGE, adapter, rate) for rate in (5, 4, 0, 5, 5)]
    assert said == [False] * 4 + [True]
    assert Assignment.objects.get(adapter=adapter).data_rate == 5
    assert [follow_rate(STAGE, adapter, rate) for rate in (7, 2)] == [False, True]
    assert Configuration.objects.get(adapter=adapter).version == 3


def test_a_period_that_slots_do_not_know_leaves_the_adapter_without_one(cast: Cast, cellar: Concentrator) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    cast.pairing(adapter)
    set_reporting(cast.operator, adapter, period_s=600)
    assert Assignment.objects.get(adapter=adapter).slot is None
    set_reporting(cast.operator, adapter, period_s=3600)
    assert Assignment.objects.get(adapter=adapter).period_s == 3600
    with pytest.raises(Invalid, match="Slots repeat every"):
        assign(cast.operator, adapter, period_s=600, data_rate=5)
    with pytest.raises(Invalid) as refused:
        assign(cast.operator, adapter, period_s=900, data_rate=6)
    assert refused.value.field == "data_rate"


def test_the_database_has_the_last_word(cast: Cast, cellar: Concentrator) -> None:
    one, other = (cast.adapter(cellar.site, cellar) for _ in range(2))
    for adapter in (one, other):
        assign(STAGE, adapter, period_s=900, data_rate=5)
    taken = Occupancy.objects.get(assignment=one.pk)
    place = {"first": taken.first, "last": taken.last, "begin": taken.begin + 10, "end": taken.end + 10}
    with pytest.raises(IntegrityError), transaction.atomic():
        Occupancy.objects.filter(assignment=other.pk).update(**place)
    hourly = place | {"last": taken.first + 24}
    with pytest.raises(IntegrityError), transaction.atomic():
        Occupancy.objects.filter(assignment=other.pk).update(**hourly)
    Occupancy.objects.filter(assignment=other.pk).update(shared=True, **place)


def test_a_full_concentrator_gives_the_least_overlap_and_says_so(cast: Cast, cellar: Concentrator) -> None:
    set_plan(cast.operator, cellar, quantum_ms=10, guard_ms=2000, reserve=500, previous=False)
    rows = [assign(STAGE, cast.adapter(cellar.site, cellar), period_s=60, data_rate=0) for _ in range(44)]
    full = [row for row in rows if row.overlap_ms]
    assert full
    assert SlotPlan.objects.get(pk=cellar.pk).full_since is not None
    assert Entry.objects.filter(action="slot_plan.full").count() == 1
    for row in full:
        release(cast.operator, row.adapter)
    assert SlotPlan.objects.get(pk=cellar.pk).full_since is None


def test_an_echo_from_before_a_restored_backup_is_answered_with_a_newer_version(
    cast: Cast, cellar: Concentrator
) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    cast.pairing(adapter)
    before = Configuration.objects.get(adapter=adapter).version
    hear_echo(STAGE, adapter, SlotReport(1, SlotState.IN_SLOT, -1200, 12), NOW)
    row = Assignment.objects.get(adapter=adapter)
    assert (row.version, row.echoed_state, row.rate_ppb, row.uncertainty_ms) == (1, 0, -1200, 12)
    hear_echo(STAGE, adapter, SlotReport(9, SlotState.IN_SLOT, 0, 12), NOW + timedelta(seconds=9))
    assert Assignment.objects.get(adapter=adapter).version == 10
    assert Configuration.objects.get(adapter=adapter).version == before + 1
    hear_echo(STAGE, adapter, SlotReport(40, SlotState.IN_SLOT, 0, 12), NOW)
    assert Assignment.objects.get(adapter=adapter).version == 10


def test_a_neighbour_that_hears_an_adapter_is_kept_free_of_it(cast: Cast, cellar: Concentrator) -> None:
    beside = cast.concentrator(cellar.site)
    adapter, other = cast.adapter(cellar.site, cellar), cast.adapter(cellar.site, beside)
    assert not heard_by(STAGE, adapter, beside, NOW, -110.0)
    mine = assign(STAGE, adapter, period_s=900, data_rate=5).slot
    its = assign(STAGE, other, period_s=900, data_rate=5).slot
    assert mine is not None
    assert its is not None
    assert not mine.overlaps(its)


def test_a_new_neighbour_in_conflict_is_told_and_nothing_moves(cast: Cast, cellar: Concentrator) -> None:
    beside = cast.concentrator(cellar.site)
    adapter, other = cast.adapter(cellar.site, cellar), cast.adapter(cellar.site, beside)
    before = [str(assign(STAGE, one, period_s=900, data_rate=5)) for one in (adapter, other)]
    assert heard_by(STAGE, adapter, beside, NOW, -110.0)
    assert not heard_by(STAGE, adapter, beside, NOW, -111.0)
    assert [str(Assignment.objects.get(adapter=one)) for one in (adapter, other)] == before
    found = Entry.objects.get(action="slot.neighbour_found")
    assert found.data == {"concentrator": beside.eui, "conflict": True}


def test_a_conflict_is_over_with_the_next_slot(cast: Cast, cellar: Concentrator) -> None:
    beside = cast.concentrator(cellar.site)
    adapter, other = cast.adapter(cellar.site, cellar), cast.adapter(cellar.site, beside)
    for one in (adapter, other):
        assign(STAGE, one, period_s=900, data_rate=5)
    assert heard_by(STAGE, adapter, beside, NOW, -110.0)
    assert list(conflicts(beside).values_list("adapter", flat=True)) == [adapter.pk]
    change_rate(STAGE, adapter, 4)
    assert not conflicts(beside).exists()


@pytest.mark.parametrize("deed", [release, lambda actor, adapter: change_rate(actor, adapter, 4)])
def test_a_conflict_is_over_when_the_other_one_leaves_or_moves(
    cast: Cast, cellar: Concentrator, deed: Callable[..., object]
) -> None:
    beside = cast.concentrator(cellar.site)
    adapter, other, third = cast.adapter(cellar.site, cellar), cast.adapter(cellar.site, beside), cast.adapter()
    third.concentrator = beside
    third.save()
    for one in (adapter, other):
        assign(STAGE, one, period_s=900, data_rate=5)
    assert heard_by(STAGE, adapter, beside, NOW, -110.0)
    deed(STAGE, other)
    assert not conflicts(beside).exists()
    kept = Occupancy.objects.get(assignment=adapter.pk, concentrator=beside)
    assert not kept.shared
    new = assign(STAGE, third, period_s=900, data_rate=5).slot
    held = Assignment.objects.get(adapter=adapter).slot
    assert new is not None
    assert held is not None
    assert not new.overlaps(held)


def test_neighbours_that_are_no_longer_believed_make_room_and_are_new_when_heard_again(
    cast: Cast, cellar: Concentrator
) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    assign(STAGE, adapter, period_s=900, data_rate=5)
    others = [cast.concentrator(cellar.site) for _ in range(MAX_NEIGHBOURS + 1)]
    for days in (16, 15):
        heard_by(STAGE, adapter, others[0], NOW - timedelta(days=days), -110.0)
    assert Entry.objects.filter(action="slot.neighbour_found").count() == 1
    for other in others:
        heard_by(STAGE, adapter, other, NOW, -110.0)
    assert Neighbour.objects.count() == MAX_NEIGHBOURS
    Neighbour.objects.update(expires_at=NOW - timedelta(days=1))
    change_rate(STAGE, adapter, 4)
    assert Occupancy.objects.filter(assignment=adapter.pk).count() == 1
    for other in (others[-1], others[0]):
        heard_by(STAGE, adapter, other, NOW, -110.0)
    assert set(Neighbour.objects.filter(expires_at__gt=NOW).values_list("concentrator", flat=True)) == {
        others[-1].pk, others[0].pk,
    }  # fmt: skip
    assert Occupancy.objects.filter(assignment=adapter.pk, served=False).count() == 2


def test_many_at_once_get_slots_that_do_not_meet(cast: Cast, cellar: Concentrator) -> None:
    new = [NewAdapter(f"70b3d57ed3{number:06x}", JOIN_EUI) for number in range(150)]
    adapters = create_adapters(STAGE, cast.organisation, new, site=cellar.site, concentrator=cellar)
    told: list[tuple[int, int]] = []
    given = assign_many(
        cast.operator, cast.organisation, adapters, period_s=900, size=16,
        data_rate=lambda adapter: adapter.pk % 6, progress=lambda *done: told.append(done),
    )  # fmt: skip
    assert (given, told[-1]) == (150, (150, 150))
    assert_nobody_meets()
    assert Entry.objects.filter(action="slot.assigned").count() == 1


def test_many_at_once_are_kept_out_of_the_way_of_those_who_are_heard(cast: Cast, cellar: Concentrator) -> None:
    beside = cast.concentrator(cellar.site)
    adapters = []
    for number, concentrator in enumerate((cellar, beside)):
        new = [NewAdapter(f"70b3d57ed4{number:02x}{one:04x}", JOIN_EUI) for one in range(60)]
        adapters += create_adapters(STAGE, cast.organisation, new, site=cellar.site, concentrator=concentrator)
    for adapter in adapters[::3]:
        heard_by(STAGE, adapter, beside if adapter.concentrator == cellar else cellar, NOW, -112.0)
    assign_many(
        cast.operator, cast.organisation, adapters, period_s=300, size=16, data_rate=lambda adapter: adapter.pk % 6
    )
    assert collisions(cellar) == collisions(beside) == set()
    assert Occupancy.objects.count() == 120 + 40


def test_who_may_not_edit_the_fleet_assigns_nothing(cast: Cast, cellar: Concentrator) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    with pytest.raises(Forbidden):
        assign(cast.viewer, adapter, period_s=900, data_rate=5)
    with pytest.raises(Forbidden):
        release(cast.outsider, adapter)
    with pytest.raises(Conflict):
        assign(cast.operator, cast.adapter(), period_s=900, data_rate=5)


def test_an_adapter_that_was_put_under_no_concentrator_meanwhile_changes_no_data_rate(
    cast: Cast, cellar: Concentrator
) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    assign(STAGE, adapter, period_s=900, data_rate=5)
    move_adapter(STAGE, Adapter.objects.get(pk=adapter.pk), site=cellar.site, concentrator=None)
    with pytest.raises(Conflict):
        change_rate(STAGE, adapter, 4)


def test_a_join_while_a_slot_is_given_keeps_its_address(cast: Cast, cellar: Concentrator) -> None:
    one, other, heir = (cast.adapter(cellar.site, cellar) for _ in range(3))
    for adapter in (one, other):
        assign(STAGE, adapter, period_s=900, data_rate=5)
    release(STAGE, other)
    Assignment.objects.create(adapter=heir, organisation=cast.organisation)
    with audited(cast.organisation):
        held = Assignment.objects.get(adapter=one)
        Assignment.objects.update(dev_addr="26011f00")
        put(STAGE, one, held, period_s=300, size=16, data_rate=5)
        assign_many(STAGE, cast.organisation, [other], period_s=900, size=16, data_rate=_joins)
        hand_on(STAGE, other, heir)
    assert set(Assignment.objects.values_list("dev_addr", flat=True)) == {"26011f00", "26011f01"}
    assert Assignment.objects.get(adapter=heir).concentrator == cellar


def _joins(adapter: Adapter) -> int:
    """The data rate of an adapter that joins while it is asked for."""
    Assignment.objects.filter(pk=adapter.pk).update(dev_addr="26011f01")
    return 5


def test_the_quantum_stays_while_slots_lie_on_its_grid(cast: Cast, cellar: Concentrator) -> None:
    assign(STAGE, cast.adapter(cellar.site, cellar), period_s=900, data_rate=5)
    with pytest.raises(Conflict):
        set_plan(cast.operator, cellar, quantum_ms=10, guard_ms=60, reserve=25, previous=False)
    with pytest.raises(Invalid):
        set_plan(cast.operator, cellar, quantum_ms=7, guard_ms=60, reserve=25, previous=False)


def test_without_a_plan_that_says_so_a_pairing_gets_no_slot(cast: Cast) -> None:
    site = cast.site()
    cellar = cast.concentrator(site)
    set_plan(cast.operator, cellar, quantum_ms=2, guard_ms=60, reserve=25, previous=False, by_pairing=False)
    adapter = cast.adapter(site)
    pair(STAGE, adapter, cast.metering_point(site))
    assert not Assignment.objects.filter(adapter=adapter, concentrator__isnull=False).exists()
