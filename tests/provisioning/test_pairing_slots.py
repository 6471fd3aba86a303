"""Slots follow pairings: handed on to the adapter that replaces one, taken back, kept by what waits for its pairing."""

import pytest

from meterwire.config_records import OpenTimeRecord, SlotReport, SlotState
from provisioning.audit.models import Entry
from provisioning.fleet import services as fleet
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.fleet.queries import visible_adapters
from provisioning.fleet.services.adapters import NewAdapter
from provisioning.pairing.models import Configuration
from provisioning.pairing.queries import slot_state
from provisioning.pairing.services import (
    desired_configuration,
    follow_rate,
    pair,
    replace_adapter,
    set_reporting,
    unpair,
)
from provisioning.pairing.services.records import wire
from provisioning.slots.models import Assignment, Neighbour, Occupancy, SlotPlan
from provisioning.slots.services import assign, assign_many, echoed, heard_by, set_plan
from tests.cast import JOIN_EUI, STAGE, Cast


@pytest.fixture
def cellar(cast: Cast) -> Concentrator:
    return cast.concentrator(cast.site())


def spare(cast: Cast, dev_eui: str = "70b3d57ed2000001") -> Adapter:
    return fleet.create_adapter(STAGE, cast.organisation, dev_eui=dev_eui, join_eui=JOIN_EUI)


def slot_of(adapter: Adapter) -> Assignment:
    return Assignment.objects.get(adapter=adapter)


def place(row: Assignment) -> tuple[int | None, int, int, int, int, int]:
    return (row.concentrator_id, row.channel, row.phase_ms, row.period_s, row.data_rate, row.length_ms)


def test_who_replaces_an_adapter_sends_in_its_slot_under_the_next_version(cast: Cast, cellar: Concentrator) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    old = pair(cast.operator, adapter, cast.metering_point(cellar.site))
    assign(cast.operator, adapter, period_s=900, data_rate=4)
    other = cast.concentrator(cast.site())
    heard_by(STAGE, adapter, other, old.from_at, -110.0)
    before = slot_of(adapter)
    heir = spare(cast)
    replace_adapter(cast.operator, old, heir, reason="broken")

    after = slot_of(heir)
    assert place(after) == place(before)
    assert after.version == before.version + 1
    assert slot_of(adapter).concentrator is None
    assert f"100d{after.version:04x}" in Configuration.objects.get(adapter=heir).records
    assert set(Occupancy.objects.values_list("assignment", "concentrator")) == {
        (heir.pk, cellar.pk),
        (heir.pk, other.pk),
    }
    assert Neighbour.objects.get().adapter == heir
    assert Entry.objects.get(action="slot.handed_on").data["from"] == adapter.dev_eui
    assert not Entry.objects.filter(action="slot.released").exists()


def test_an_heir_with_other_needs_gets_another_slot_and_the_old_one_is_free(cast: Cast, cellar: Concentrator) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    old = pair(cast.operator, adapter, cast.metering_point(cellar.site))
    heir = spare(cast)
    set_reporting(STAGE, heir, period_s=300)
    replace_adapter(cast.operator, old, heir, reason="broken")
    assert (slot_of(heir).period_s, slot_of(adapter).concentrator) == (300, None)
    assert Occupancy.objects.count() == 1


def test_what_still_reads_another_meter_keeps_its_slot(cast: Cast, cellar: Concentrator) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    old = pair(cast.operator, adapter, cast.metering_point(cellar.site))
    pair(cast.operator, adapter, cast.metering_point(cellar.site), input=1)
    before = slot_of(adapter)
    heir = spare(cast)
    replace_adapter(cast.operator, old, heir, reason="split")
    assert place(slot_of(adapter)) == place(before)
    assert place(slot_of(heir)) != place(before)
    assert slot_of(heir).overlap_ms == 0


def test_an_adapter_that_had_slots_before_counts_its_versions_on(cast: Cast, cellar: Concentrator) -> None:
    adapter, heir = cast.adapter(cellar.site, cellar), spare(cast)
    Assignment.objects.create(adapter=heir, organisation=cast.organisation, version=40)
    old = pair(cast.operator, adapter, cast.metering_point(cellar.site))
    replace_adapter(cast.operator, old, heir, reason="broken")
    assert slot_of(heir).version == 41


def test_the_end_of_the_last_pairing_frees_the_slot_at_once(cast: Cast, cellar: Concentrator) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    held = pair(cast.operator, adapter, cast.metering_point(cellar.site))
    unpair(cast.operator, held, reason="moved out", release=False)
    assert slot_of(adapter).concentrator is None
    assert not Occupancy.objects.exists()
    assert Configuration.objects.get(adapter=adapter).records == ""
    assert adapter in visible_adapters(cast.operator).filter(concentrator=cellar)


def test_an_adapter_keeps_the_slot_it_was_imported_with_until_its_pairing_ends(
    cast: Cast, cellar: Concentrator
) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    assign(STAGE, adapter, period_s=900, data_rate=3)
    before = place(slot_of(adapter))
    set_reporting(STAGE, adapter, period_s=900, registers={0: [1]})
    assert place(slot_of(adapter)) == before
    held = pair(cast.operator, adapter, cast.metering_point(cellar.site))
    assert place(slot_of(adapter)) == before
    unpair(cast.operator, held, reason="moved out", release=False)
    assert slot_of(adapter).concentrator is None


def test_who_was_moved_meanwhile_gets_its_slot_where_it_is_now(cast: Cast, cellar: Concentrator) -> None:
    adapter, beside = cast.adapter(cellar.site, cellar), cast.concentrator(cellar.site)
    pair(cast.operator, adapter, cast.metering_point(cellar.site))
    stale = Adapter.objects.get(pk=adapter.pk)
    fleet.move_adapter(STAGE, adapter, site=cellar.site, concentrator=beside)
    set_reporting(STAGE, stale, period_s=300)
    assert slot_of(adapter).concentrator == beside


def test_the_first_pairing_under_a_concentrator_makes_its_usual_plan(cast: Cast, cellar: Concentrator) -> None:
    assert not SlotPlan.objects.exists()
    pair(cast.operator, cast.adapter(cellar.site, cellar), cast.metering_point(cellar.site))
    plan = SlotPlan.objects.get()
    assert (plan.by_pairing, plan.reserve, plan.beacon_period_s) == (True, 25, 0)


def test_whose_slot_takes_the_open_minute_is_told_of_the_reserve_alone(cast: Cast, cellar: Concentrator) -> None:
    """Slots of 5.65 s: ten in each of twelve minutes of six channels before the minutes that stay open."""
    set_plan(STAGE, cellar, quantum_ms=10, guard_ms=2000, reserve=25, previous=False)
    new = [NewAdapter(f"70b3d57ed3{number:06x}", JOIN_EUI) for number in range(720)]
    others = fleet.create_adapters(STAGE, cast.organisation, new, site=cellar.site, concentrator=cellar)
    assign_many(STAGE, cast.organisation, others, period_s=900, size=16, data_rate=lambda _: 0)
    assert SlotPlan.objects.get(pk=cellar.pk).open_minute
    adapter = cast.adapter(cellar.site, cellar)
    pair(cast.operator, adapter, cast.metering_point(cellar.site))
    assert not SlotPlan.objects.get(pk=cellar.pk).open_minute
    assert OpenTimeRecord(300, 292_500, 7_500) in desired_configuration(adapter)
    assert Configuration.objects.get(adapter=adapter).records == wire(desired_configuration(adapter))


def test_a_pairing_tells_whether_its_slot_was_taken_over(cast: Cast, cellar: Concentrator) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    held = pair(cast.operator, adapter, cast.metering_point(cellar.site))
    assert slot_state(held) == "waits"
    echoed(STAGE, adapter, SlotReport(1, SlotState.IN_SLOT, 0, 3), held.from_at)
    assert slot_state(held) == "given"
    set_reporting(STAGE, adapter, period_s=300)
    assert slot_state(held) == "waits"
    set_reporting(STAGE, adapter, period_s=120)
    assert slot_state(held) is None
    set_reporting(STAGE, adapter, period_s=None)
    assert slot_state(unpair(cast.operator, held, reason="moved out")) is None


def test_a_pairing_without_a_concentrator_waits_for_its_slot(cast: Cast) -> None:
    assert slot_state(cast.pairing(cast.adapter())) == "waits"


@pytest.mark.parametrize(("period_s", "rate"), [(60, 2), (300, 0), (900, 0), (86_400, 0)])
def test_no_slot_is_given_that_the_duty_cycle_forbids(
    cast: Cast, cellar: Concentrator, period_s: int, rate: int
) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    set_reporting(STAGE, adapter, period_s=period_s)
    pair(cast.operator, adapter, cast.metering_point(cellar.site))
    assert slot_of(adapter).data_rate == rate
    assert follow_rate(STAGE, adapter, rate - 1) is False
    assert slot_of(adapter).data_rate == rate


def test_a_rate_given_blind_makes_way_at_the_first_proposal_and_later_ones_wait(
    cast: Cast, cellar: Concentrator
) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    pair(cast.operator, adapter, cast.metering_point(cellar.site))
    assert follow_rate(STAGE, adapter, 3) is True
    assert follow_rate(STAGE, adapter, 5) is False
    assert slot_of(adapter).data_rate == 3
    assert follow_rate(STAGE, adapter, 5) is True
    assert slot_of(adapter).data_rate == 5


def test_a_rate_given_by_level_waits_for_a_second_proposal(cast: Cast, cellar: Concentrator) -> None:
    adapter = cast.adapter(cellar.site, cellar)
    pair(
        cast.operator, adapter, cast.metering_point(cellar.site), heard=lambda adapter, concentrators: {cellar.pk: -140}
    )
    assert (slot_of(adapter).data_rate, slot_of(adapter).level_dbm) == (0, -140)
    assert follow_rate(STAGE, adapter, 3) is False
    assert follow_rate(STAGE, adapter, 3) is True
