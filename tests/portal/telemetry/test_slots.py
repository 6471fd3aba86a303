"""Hourly figures of slots become days: added up, each event once, within bounds, from the right concentrator only."""

import itertools
import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction

from meterwire import messages
from meterwire.messages import Event
from portal.telemetry import retention, slots
from portal.telemetry.arrivals import Source
from portal.telemetry.models import AdapterEvent, SlotDay
from portal.telemetry.services import store_events
from portal.telemetry.slots import Mark
from provisioning.fleet.models import Concentrator
from provisioning.slots.models import Assignment
from tests.portal.stage import NOON, Device, Stage

pytestmark = pytest.mark.django_db
NOW = datetime.fromtimestamp(NOON, UTC)
TODAY = date(2026, 1, 1)
_numbers = itertools.count(1)

FIGURES = {
    "n": 4, "early_ms_p99": 3.5, "late_ms_p99": 12.0, "median_ms": 1.5, "rate_ppb": -12_345, "uncertainty_ms": 8.5,
    "answers": 1, "outside": 2, "version": 3,
}  # fmt: skip


@pytest.fixture
def device(stage: Stage) -> Device:
    """With a slot of version 3 and 60 ms of guard."""
    device = stage.device()
    give_slot(stage, device)
    return device


def give_slot(stage: Stage, device: Device, **changes: Any) -> Assignment:
    fields = {"concentrator": stage.concentrator, "version": 3, "guard_ms": 60, "length_ms": 200, **changes}
    return Assignment.objects.create(adapter=device.row, organisation=stage.organisation, **fields)


def event(device: Device, at: datetime = NOW, **changes: Any) -> Event:
    unix = at.timestamp()
    detail = {key: value for key, value in {**FIGURES, **changes}.items() if value != "left out"}
    return Event(
        id=messages.ulid(unix, next(_numbers).to_bytes(10, "big")), time=messages.timestamp(unix), kind="slot",
        dev_eui=device.row.dev_eui, detail=detail,
    )  # fmt: skip


def tell(stage: Stage, *events: Event, source: Source | None = None, now: datetime = NOW) -> list[str]:
    return [row.reason for row in store_events([(source or stage.source, one) for one in events], now)]


def test_an_event_becomes_the_adapters_day(stage: Stage, device: Device) -> None:
    assert tell(stage, event(device, expected=6, missed=2, alone_missed=1)) == [""]
    row = SlotDay.objects.get()
    assert (row.adapter, row.concentrator, row.day) == (device.row, stage.concentrator, TODAY)
    assert (row.version, row.guard_ms) == (3, 60)
    assert (row.inside, row.outside, row.other, row.answers) == (4, 2, 0, 1)
    assert (row.expected, row.arrived, row.collided) == (6, 4, 1)
    assert (row.early_ms, row.late_ms, row.median_ms) == (3.5, 12.0, 1.5)
    assert (row.rate_ppb, row.uncertainty_ms) == (-12_345, 8.5)
    assert row.used == 0.2


def test_hours_of_a_day_add_up_and_the_worst_deviation_stays(stage: Stage, device: Device) -> None:
    tell(stage, event(device, late_ms_p99=30.0), event(device, NOW + timedelta(hours=1), early_ms_p99=9.0))
    tell(stage, event(device, NOW + timedelta(hours=2), rate_ppb=7, median_ms=-2.0), now=NOW + timedelta(hours=2))
    row = SlotDay.objects.get()
    assert (row.inside, row.outside, row.answers) == (12, 6, 3)
    assert (row.early_ms, row.late_ms, row.median_ms, row.rate_ppb) == (9.0, 30.0, -2.0, 7)


def test_days_are_those_of_utc(stage: Stage, device: Device) -> None:
    midnight = datetime(2026, 1, 1, tzinfo=UTC)
    tell(stage, event(device, midnight - timedelta(seconds=1)), event(device, midnight))
    assert [row.day for row in SlotDay.objects.order_by("day")] == [TODAY - timedelta(days=1), TODAY]


def test_concentrators_that_count_no_missed_slots_are_understood(stage: Stage, device: Device) -> None:
    tell(stage, event(device))
    row = SlotDay.objects.get()
    assert (row.expected, row.arrived, row.collided) == (0, 0, 0)
    assert not row.marks & Mark.LOST


def test_a_device_of_which_nothing_came_has_only_missed_slots(stage: Stage, device: Device) -> None:
    changes: dict[str, Any] = dict.fromkeys(set(FIGURES) - {"n", "answers", "version"}, "left out")
    changes |= {"n": 0, "answers": 0, "expected": 4, "missed": 4, "alone_missed": 0}
    assert tell(stage, event(device, **changes)) == [""]
    row = SlotDay.objects.get()
    assert (row.inside, row.expected, row.arrived, row.used) == (0, 4, 0, None)


def test_the_same_event_counts_once(stage: Stage, device: Device) -> None:
    one, other = event(device), event(device)
    tell(stage, one, one)
    tell(stage, one, other)
    tell(stage, other)
    assert SlotDay.objects.get().inside == 8


def test_figures_of_another_slot_are_counted_apart(stage: Stage, device: Device) -> None:
    """After a restore from a backup, or while the concentrator has not taken over the newest table."""
    tell(stage, event(device, version=2, late_ms_p99=900.0))
    row = SlotDay.objects.get()
    assert (row.inside, row.outside, row.other, row.late_ms) == (0, 0, 6, None)


def test_a_new_slot_begins_with_an_unused_guard(stage: Stage, device: Device) -> None:
    tell(stage, event(device, late_ms_p99=58.0))
    Assignment.objects.update(version=4, guard_ms=100)
    tell(stage, event(device, version=4, late_ms_p99=20.0))
    row = SlotDay.objects.get()
    assert (row.version, row.guard_ms, row.used, row.inside) == (4, 100, 0.2, 8)


def test_what_came_late_of_the_slot_before_changes_no_day_of_it(stage: Stage, device: Device) -> None:
    """Told at midnight, delivered after another slot was given."""
    tell(stage, event(device, late_ms_p99=58.0))
    Assignment.objects.update(version=4, guard_ms=100)
    tell(stage, event(device, late_ms_p99=59.0), now=NOW + timedelta(days=1))
    row = SlotDay.objects.get()
    assert (row.version, row.guard_ms, row.late_ms, row.inside, row.other) == (3, 60, 58.0, 4, 6)


def test_what_came_late_of_the_slot_before_does_not_undo_the_new_one(stage: Stage, device: Device) -> None:
    Assignment.objects.update(version=4, guard_ms=100)
    tell(stage, event(device, version=4, late_ms_p99=20.0))
    tell(stage, event(device, NOW - timedelta(minutes=5), late_ms_p99=58.0))
    row = SlotDay.objects.get()
    assert (row.version, row.guard_ms, row.late_ms, row.inside, row.other) == (4, 100, 20.0, 4, 6)


def test_a_day_holds_no_more_than_ever_fits_on_the_air(stage: Stage, device: Device) -> None:
    """However many events a concentrator makes up, the numbers stay within their columns, and other days are well."""
    tell(stage, event(device))
    SlotDay.objects.update(outside=2**31 - 1)
    other = stage.device()
    give_slot(stage, other)
    assert tell(stage, event(device), event(other)) == ["slot_too_many", ""]
    assert tell(stage, event(device, NOW + timedelta(days=1)), now=NOW + timedelta(days=1)) == [""]
    assert list(SlotDay.objects.order_by("adapter", "day").values_list("inside", flat=True)) == [4, 4, 4]


def test_another_concentrator_of_the_organisation_counts_nothing(stage: Stage, device: Device) -> None:
    other = Concentrator.objects.create(
        organisation=stage.organisation, site=stage.site, eui="70b3d57ee00cffff", name="Attic"
    )
    source = Source(other.pk, stage.organisation.pk, other.eui)
    assert tell(stage, event(device), source=source) == ["slot_other_concentrator"]
    assert not SlotDay.objects.exists()


def test_another_organisation_does_not_even_know_the_adapter(stage: Stage, device: Device) -> None:
    other = Stage("other")
    assert tell(other, event(device)) == ["slot_unknown_adapter"]
    assert not SlotDay.objects.exists()


def test_an_adapter_without_a_slot_keeps_none(stage: Stage) -> None:
    device = stage.device()
    assert tell(stage, event(device)) == ["slot_none"]
    give_slot(stage, device, concentrator=None)
    assert tell(stage, event(device)) == ["slot_none"]


BAD: list[dict[str, Any]] = [
    {"n": -1}, {"n": 100_001}, {"n": "4"}, {"n": 1.5}, {"n": True}, {"n": "left out"}, {"outside": -1},
    {"early_ms_p99": -0.1}, {"late_ms_p99": 10_001}, {"late_ms_p99": None}, {"median_ms": -20_000}, {"version": 0},
    {"version": 65_536}, {"rate_ppb": 1 << 23}, {"rate_ppb": 0.5}, {"uncertainty_ms": -1}, {"uncertainty_ms": 1e12},
    {"answers": 10**9}, {"expected": 3, "missed": 4}, {"missed": 1}, {"expected": 5, "missed": 1, "alone_missed": 2},
    {"expected": 10**6},
]  # fmt: skip


@pytest.mark.parametrize("changes", BAD, ids=str)
def test_a_figure_that_cannot_be_is_refused_with_a_reason(
    stage: Stage, device: Device, changes: dict[str, Any]
) -> None:
    good = event(device)
    assert tell(stage, event(device, **changes), good) == ["slot_figures", ""]
    assert SlotDay.objects.get().inside == 4
    assert AdapterEvent.objects.filter(reason="slot_figures").count() == 1


def test_what_waited_too_long_no_longer_counts(stage: Stage, device: Device) -> None:
    assert tell(stage, event(device, NOW - timedelta(days=13, seconds=1))) == ["slot_too_old"]
    assert tell(stage, event(device, NOW - timedelta(days=12))) == [""]


def test_a_concentrator_ahead_of_time_tells_of_today(stage: Stage, device: Device) -> None:
    tell(stage, event(device, NOW + timedelta(days=400)))
    assert SlotDay.objects.get().day == TODAY


def test_an_event_that_comes_again_after_it_was_forgotten_does_not_count_twice(stage: Stage, device: Device) -> None:
    one = event(device)
    tell(stage, one)
    AdapterEvent.objects.update(stored_at=NOW)
    later = NOW + slots.KEPT + timedelta(seconds=1)
    assert retention.apply(later, {"slots": 400}) == {"slots": 0, "slot_events": 1}
    assert tell(stage, one, now=later) == ["slot_too_old"]
    assert SlotDay.objects.get().inside == 4


def test_days_go_after_their_time_and_other_events_stay(stage: Stage, device: Device) -> None:
    tell(stage, event(device))
    other = Event(id=messages.ulid(NOON, bytes(10)), time=messages.timestamp(NOON), kind="clock", reason="jump")
    tell(stage, other)
    AdapterEvent.objects.update(stored_at=NOW)
    assert retention.apply(NOW + timedelta(days=399), {"slots": 400}) == {"slots": 0, "slot_events": 1}
    assert retention.apply(NOW + timedelta(days=401), {"slots": 400}) == {"slots": 1, "slot_events": 0}
    assert AdapterEvent.objects.get().kind == "clock"


def test_what_may_be_trouble_is_marked(stage: Stage, device: Device) -> None:
    tell(stage, event(device, late_ms_p99=43.0, rate_ppb=-51_000, expected=100, missed=6, n=4, outside=40))
    assert SlotDay.objects.get().marks == Mark.GUARD | Mark.DRIFT | Mark.LOST | Mark.OUTSIDE


def test_a_day_on_the_edge_is_not_marked(stage: Stage, device: Device) -> None:
    tell(stage, event(device, late_ms_p99=42.0, rate_ppb=50_000, expected=100, missed=5, n=5, outside=44))
    assert SlotDay.objects.get().marks == 0


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
def test_two_bridges_that_get_the_same_event_at_once_count_it_once(stage: Stage, device: Device) -> None:
    one = event(device)
    first_is_in, done = threading.Event(), threading.Event()

    def second_bridge() -> None:
        first_is_in.wait(10)
        tell(stage, one)
        connections.close_all()
        done.set()

    thread = threading.Thread(target=second_bridge)
    thread.start()
    with transaction.atomic():
        tell(stage, one)
        first_is_in.set()
        assert not done.wait(0.3)  # it waits for this transaction
    assert done.wait(10)
    thread.join()
    assert SlotDay.objects.get().inside == 4
