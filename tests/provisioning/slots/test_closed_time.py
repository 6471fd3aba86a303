"""When nobody has a slot: the reserve and the beacon, as adapters and concentrator are told."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps

from meterwire.lorawan.airtime import airtime_s
from provisioning.audit.models import Entry
from provisioning.errors import Invalid
from provisioning.fleet.models import Concentrator
from provisioning.slots.allocator import Allocator, Closed, reserved
from provisioning.slots.closed_time import beacon, closed, is_closed, open_now, open_time
from provisioning.slots.models import Assignment, SlotPlan
from provisioning.slots.services import assign, assign_many, release, set_plan
from provisioning.slots.signals import plan_changed
from tests.cast import STAGE, Cast

USUAL: dict[str, Any] = {"quantum_ms": 2, "guard_ms": 60, "reserve": 25, "previous": False}


def test_the_usual_reserve_is_the_end_of_every_fifth_minute() -> None:
    record = open_time(SlotPlan())
    assert record is not None
    assert (record.period_s, record.phase_ms, record.length_ms) == (300, 292_500, 7_500)
    assert closed(SlotPlan()) == (reserved(0.025),)
    assert closed(SlotPlan(reserve=0)) == ()


@pytest.mark.parametrize("reserve", [1, 25, 100, 101, 333, 500])
def test_any_reserve_is_its_share_of_the_time_and_can_be_told(reserve: int) -> None:
    record = open_time(SlotPlan(reserve=reserve))
    assert record is not None
    assert record.length_ms / record.period_s == reserve
    assert type(record).decode(record.encode()) == record
    assert Allocator(2, reserve=0, downlinks=closed(SlotPlan(reserve=reserve))).closed


@pytest.mark.parametrize("period_s", [60, 300, 900])
@pytest.mark.parametrize("data_rate", [0, 3, 5])
def test_the_beacon_has_its_airtime_and_20_ms_on_either_side_to_itself(period_s: int, data_rate: int) -> None:
    plan = SlotPlan(reserve=0, beacon_period_s=period_s, beacon_data_rate=data_rate)
    record = beacon(plan)
    assert record is not None
    assert (record.frequency_hz, record.period_s, record.phase_ms) == (869_525_000, period_s, 0)
    airtime_ms = airtime_s(16, data_rate, uplink=False) * 1000
    assert airtime_ms + 40 <= sum(part.length_ms for part in closed(plan)) < airtime_ms + 41
    allocator = Allocator(2, reserve=0, downlinks=closed(plan))
    first = allocator.add("a", "c", 100)
    assert first is not None
    assert airtime_ms + 20 <= first.phase_ms < airtime_ms + 22


def test_a_slot_is_in_closed_time_when_it_ever_meets_it() -> None:
    parts = (Closed(292_500, 300, 7_500),)
    assert is_closed(parts, 292_400, 900, 101)
    assert not is_closed(parts, 292_400, 900, 100)
    assert is_closed(parts, 52_500, 60, 10)  # an occurrence of every fifth minute
    assert is_closed(parts, 86_399_990, 86_400, 10)
    assert not is_closed(parts, 0, 86_400, 8000)


def test_a_beacon_that_comes_later_moves_nobody_and_is_told_to_all(cast: Cast) -> None:
    cellar = cast.concentrator()
    row = assign(STAGE, cast.adapter(cellar.site, cellar), period_s=900, data_rate=5)
    revision = Concentrator.objects.get(pk=cellar.pk).desired_revision
    told: list[int] = []

    def listen(plan: SlotPlan, **_: object) -> None:
        told.append(plan.beacon_period_s)

    plan_changed.connect(listen)
    try:
        set_plan(cast.operator, cellar, **USUAL, beacon_period_s=300, beacon_data_rate=3)
        set_plan(cast.operator, cellar, **USUAL)
        set_plan(cast.operator, cellar, **{**USUAL, "guard_ms": 20})
    finally:
        plan_changed.disconnect(listen)
    assert told == [300]
    assert SlotPlan.objects.get(pk=cellar.pk).beacon_period_s == 300
    assert Concentrator.objects.get(pk=cellar.pk).desired_revision == revision + 1
    assert str(Assignment.objects.get(pk=row.pk)) == str(row)
    facts = Entry.objects.filter(action="slot_plan.updated").order_by("seq").first()
    assert facts is not None
    assert facts.data["in_closed_time"] == 1


@pytest.mark.parametrize("wrong", [{"beacon_period_s": 3600}, {"beacon_data_rate": 6}, {"reserve": 501}])
def test_a_beacon_outside_what_there_is_is_refused(cast: Cast, wrong: dict[str, int]) -> None:
    with pytest.raises(Invalid):
        set_plan(cast.operator, cast.concentrator(), **{**USUAL, **wrong})


class TestTheOpenMinute:
    def test_all_of_the_fifth_minute_is_open_until_somebody_has_a_slot_there(self) -> None:
        assert told(SlotPlan()) == (300, 240_000, 60_000)
        assert told(SlotPlan(open_minute=False)) == (300, 292_500, 7_500)
        assert closed(SlotPlan()) == closed(SlotPlan(open_minute=False)), "slots may still come there"

    @pytest.mark.parametrize(
        ("plan", "record"),
        [
            (SlotPlan(reserve=0), None),
            (SlotPlan(reserve=200), (60, 48_000, 12_000)),
            (SlotPlan(beacon_period_s=60), (300, 292_500, 7_500)),
            (SlotPlan(beacon_period_s=300), (300, 240_000, 60_000)),
        ],
    )
    def test_where_each_minute_has_its_reserve_or_its_beacon_nothing_more_is_open(
        self, plan: SlotPlan, record: tuple[int, int, int] | None
    ) -> None:
        assert told(plan) == record

    def test_slots_of_the_usual_period_leave_it_open(self, cast: Cast) -> None:
        cellar = cast.concentrator()
        for _ in range(5):
            assign(STAGE, cast.adapter(cellar.site, cellar), period_s=900, data_rate=0)
        assert told(SlotPlan.objects.get(pk=cellar.pk)) == (300, 240_000, 60_000)

    def test_the_first_slot_in_it_ends_it_and_everybody_is_told_once(self, cast: Cast) -> None:
        cellar = cast.concentrator()
        assign(STAGE, cast.adapter(cellar.site, cellar), period_s=900, data_rate=5)
        heard: list[tuple[int, int, int] | None] = []

        def listen(plan: SlotPlan, **_: object) -> None:
            heard.append(told(plan))

        plan_changed.connect(listen)
        try:
            rows = [assign(STAGE, cast.adapter(cellar.site, cellar), period_s=60, data_rate=5) for _ in range(2)]
        finally:
            plan_changed.disconnect(listen)
        assert heard == [(300, 292_500, 7_500)]
        release(STAGE, rows[0].adapter)
        assert told(SlotPlan.objects.get(pk=cellar.pk)) == (300, 292_500, 7_500), "it stays so"

    def test_so_does_one_of_many_that_come_at_once(self, cast: Cast) -> None:
        cellar = cast.concentrator()
        adapters = [cast.adapter(cellar.site, cellar) for _ in range(2)]
        assign_many(STAGE, cast.organisation, adapters, period_s=60, size=17, data_rate=lambda _: 5)
        assert not SlotPlan.objects.get(pk=cellar.pk).open_minute

    def test_an_upgrade_finds_who_has_a_slot_in_it_already(self, cast: Cast) -> None:
        cellars = [cast.concentrator() for _ in range(3)]
        for cellar, (phase_ms, period_s) in zip(cellars, [(0, 900), (541_000, 900), (0, 60)], strict=True):
            row = assign(STAGE, cast.adapter(cellar.site, cellar), period_s=900, data_rate=5)
            Assignment.objects.filter(pk=row.pk).update(phase_ms=phase_ms, period_s=period_s)
        import_module("provisioning.slots.migrations.0009_open_minute").find_taken(apps, None)
        found = [SlotPlan.objects.get(pk=cellar.pk).open_minute for cellar in cellars]
        assert found == [True, False, False]


def told(plan: SlotPlan) -> tuple[int, int, int] | None:
    record = open_now(plan)
    return None if record is None else (record.period_s, record.phase_ms, record.length_ms)
