"""Who is in trouble with its slot or its clock: when it is told, since when, and when it is over."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from meterwire import messages
from portal.telemetry.models import AdapterEvent, SlotDay
from portal.telemetry.slot_queries import Discipline, discipline, drift, troubles
from portal.telemetry.slots import marks
from provisioning.fleet.models import Concentrator
from provisioning.slots.models import Assignment
from tests.portal.stage import Device, Stage

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 20, 10, tzinfo=UTC)
TODAY = date(2026, 3, 20)


@pytest.fixture
def device(stage: Stage) -> Device:
    device = stage.device()
    give_slot(stage, device)
    return device


def give_slot(stage: Stage, device: Device, **changes: Any) -> Assignment:
    fields = {
        "concentrator": stage.concentrator, "version": 3, "echoed_version": 3, "guard_ms": 100, "length_ms": 300,
        "assigned_at": NOW - timedelta(days=30), "echoed_at": NOW - timedelta(hours=3), **changes,
    }  # fmt: skip
    return Assignment.objects.create(adapter=device.row, organisation=stage.organisation, **fields)


def day(stage: Stage, device: Device, ago: int = 0, **changes: Any) -> SlotDay:
    """A day without any trouble, but for `changes`; `late` in ms."""
    late = changes.pop("late", 20.0)
    fields = {
        "concentrator": stage.concentrator, "version": 3, "guard_ms": 100, "inside": 96, "expected": 96, "arrived": 96,
        "early_ms": 5.0, "late_ms": late, "median_ms": 1.0, "rate_ppb": 9_000, "uncertainty_ms": 4.0, **changes,
    }  # fmt: skip
    row = SlotDay(adapter=device.row, day=TODAY - timedelta(days=ago), **fields)
    row.marks = marks(row)
    row.save()
    return row


def told(now: datetime = NOW) -> list[tuple[str, int, float | None]]:
    """(kind, days since, figure) of all troubles."""
    return [
        (one.kind, (now - one.since).days, one.figure and round(one.figure, 2))
        for one in troubles(Concentrator.objects.all(), now)
    ]


def of(device: Device) -> Discipline:
    found = discipline(device.row, NOW)
    assert found is not None
    return found


def test_who_keeps_its_slot_is_in_no_trouble(stage: Stage, device: Device) -> None:
    for ago in range(10):
        day(stage, device, ago)
    assert told() == []
    found = of(device)
    assert (found.state, found.used, found.delivery, found.inside) == ("", 0.2, 1.0, 7 * 96)
    assert (found.rate_ppb, found.uncertainty_ms, found.days_left) == (9_000, 4.0, None)


def test_the_guard_alarms_over_seventy_per_cent_and_is_well_under_fifty(stage: Stage, device: Device) -> None:
    for ago, late in ((6, 20), (5, 72), (4, 60), (3, 55)):
        day(stage, device, ago, late=late)
    day(stage, device, 2, late=51)
    assert told() == [("guard", 5, 0.51)]
    day(stage, device, 1, late=49)
    assert told() == []
    day(stage, device, 0, late=60)
    assert told() == []


def test_an_early_adapter_uses_its_guard_as_well(stage: Stage, device: Device) -> None:
    day(stage, device, early_ms=90.0)
    assert told() == [("guard", 0, 0.9)]
    assert of(device).state == "guard"


def test_the_state_is_the_worst_of_several_troubles(stage: Stage, device: Device) -> None:
    for ago in range(3):
        day(stage, device, ago, late=90.0, arrived=60)
    assert of(device).state == "lost"
    Assignment.objects.update(echoed_version=1)
    assert of(device).state == "echo"
    assert {kind for kind, _, _ in told()} == {"echo", "lost", "guard"}


def test_the_trend_tells_when_the_guard_is_used_up(stage: Stage, device: Device) -> None:
    for ago in range(6):
        day(stage, device, ago, late=60 - 5 * ago)
    assert told() == []
    assert of(device).days_left == pytest.approx(8.0)


def test_today_which_is_not_over_does_not_bend_the_trend(stage: Stage, device: Device) -> None:
    day(stage, device, 0, late=7)
    for ago in range(1, 6):
        day(stage, device, ago, late=60 - 5 * ago)
    assert of(device).days_left == pytest.approx(8.0)


def test_before_anything_came_today_the_figures_are_those_of_yesterday(stage: Stage, device: Device) -> None:
    day(stage, device, 1, late=33)
    day(stage, device, 0, inside=0, expected=1, arrived=0, early_ms=None, late_ms=None, rate_ppb=None)
    found = of(device)
    assert (found.day, found.used, found.rate_ppb) == (TODAY - timedelta(days=1), 0.33, 9_000)
    assert (found.inside, found.delivery) == (96, 96 / 97)


def test_a_guard_that_is_used_up_has_no_days_left(stage: Stage, device: Device) -> None:
    for ago in range(6):
        day(stage, device, ago, late=110 - 5 * ago)
    assert of(device).days_left is None


def test_an_adapter_that_ignores_its_slot_is_named_but_not_for_what_is_lost_in_it(stage: Stage, device: Device) -> None:
    day(stage, device, 3)
    for ago in range(3):
        day(stage, device, ago, inside=1, outside=95, arrived=1, late=20)
    assert told() == [("outside", 2, 0.99)]


def test_a_day_of_many_frames_beside_the_slot_is_no_trouble(stage: Stage, device: Device) -> None:
    """A gap was asked for again: three hundred telegrams in open time."""
    day(stage, device, outside=300)
    assert told() == []


def test_a_few_reports_beside_a_daily_slot_are_no_trouble(stage: Stage, device: Device) -> None:
    for ago in range(2):
        day(stage, device, ago, inside=0, outside=3, expected=1, arrived=0)
    assert told() == []


def test_a_clock_that_runs_a_hundred_ppm_wrong_is_named(stage: Stage, device: Device) -> None:
    day(stage, device, 2)
    day(stage, device, 1, rate_ppb=-100_000)
    day(stage, device, 0, rate_ppb=-101_500)
    assert told() == [("drift", 1, -101.5)]


def test_a_crystal_that_its_adapter_corrects_is_named_by_what_the_adapter_says(stage: Stage, device: Device) -> None:
    """The concentrator sees only what is left after the correction."""
    day(stage, device, rate_ppb=40)
    Assignment.objects.update(rate_ppb=98_000)
    assert told() == [("drift", 30, 98.0)]
    assert of(device).state == "drift"
    SlotDay.objects.update(rate_ppb=99_000, marks=4)
    assert [kind for kind, *_ in told()] == ["drift"]


def test_loss_of_over_five_per_cent_is_named(stage: Stage, device: Device) -> None:
    for ago in range(4):
        day(stage, device, ago, arrived=96 if ago > 1 else 80, collided=0 if ago else 9)
    assert told() == [("lost", 1, 0.89)]
    assert of(device).collided == 9


def test_few_slots_say_nothing_about_loss(stage: Stage, device: Device) -> None:
    day(stage, device, expected=24, arrived=20)
    assert told() == []


def test_a_silent_adapter_is_another_matter(stage: Stage, device: Device) -> None:
    day(stage, device, 3, late=90)
    day(stage, device, 2, inside=0, expected=96, arrived=0, early_ms=None, late_ms=None, rate_ppb=None)
    day(stage, device, 1, inside=0, expected=96, arrived=0, early_ms=None, late_ms=None, rate_ppb=None)
    assert told() == [("guard", 3, 0.9)]
    assert told(NOW + timedelta(days=3)) == []


def test_an_adapter_that_may_not_know_its_slot_yet_is_not_blamed(stage: Stage, device: Device) -> None:
    day(stage, device, inside=0, outside=90, arrived=0)
    Assignment.objects.update(echoed_version=2, assigned_at=NOW - timedelta(hours=20))
    assert told() == []
    Assignment.objects.update(assigned_at=NOW - timedelta(days=3), echoed_version=None)
    assert told() == [("outside", 0, 1.0)]


def test_a_slot_that_was_given_anew_starts_without_a_past(stage: Stage, device: Device) -> None:
    day(stage, device, 1, late=95)
    Assignment.objects.update(version=4, echoed_version=4)
    assert told() == []
    assert discipline(device.row, NOW) is None
    assert len(drift(device.row, now=NOW)) == 1


def test_an_adapter_that_runs_another_slot_than_given_is_named(stage: Stage, device: Device) -> None:
    day(stage, device)
    Assignment.objects.update(echoed_version=2, assigned_at=NOW - timedelta(days=4), echoed_at=NOW)
    assert told() == [("echo", 4, 2.0)]
    assert of(device).state == "echo"
    Assignment.objects.update(echoed_at=NOW - timedelta(days=3))
    assert told() == []


def test_who_was_removed_or_moved_is_in_no_trouble_here(stage: Stage, device: Device) -> None:
    day(stage, device, late=95)
    other = Concentrator.objects.create(
        organisation=stage.organisation, site=stage.site, eui="70b3d57ee00cffff", name="Attic"
    )
    Assignment.objects.update(concentrator=other)
    assert told() == []
    Assignment.objects.update(concentrator=stage.concentrator)
    device.row.archived_at = NOW
    device.row.save()
    assert told() == []


def test_only_the_concentrators_asked_for_answer(stage: Stage, device: Device) -> None:
    day(stage, device, late=95)
    assert troubles(Concentrator.objects.none(), NOW) == []
    (one,) = troubles(Concentrator.objects.filter(pk=stage.concentrator.pk), NOW)
    assert (one.adapter_id, one.dev_eui) == (device.row.pk, device.row.dev_eui)
    assert (one.concentrator_id, one.since) == (stage.concentrator.pk, datetime(2026, 3, 20, tzinfo=UTC))


def says(stage: Stage, reason: str, hours_ago: float, **detail: Any) -> None:
    at = NOW - timedelta(hours=hours_ago)
    AdapterEvent.objects.create(
        id=messages.ulid(at.timestamp(), reason.encode()[:10].ljust(10)), organisation=stage.organisation,
        concentrator=stage.concentrator, kind="clock", reason=reason, detail=detail, at=at,
    )  # fmt: skip


def test_a_concentrator_whose_adapters_contradict_its_clock_is_named_until_they_agree(stage: Stage) -> None:
    says(stage, "contradicted", 5)
    (one,) = troubles(Concentrator.objects.all(), NOW)
    assert (one.kind, one.adapter_id, one.since, one.figure) == ("clock", None, NOW - timedelta(hours=5), None)
    says(stage, "agreed", 1)
    assert told() == []


def test_a_clock_that_jumped_by_an_hour_is_named_until_it_has_settled(stage: Stage) -> None:
    says(stage, "jump", 3, offset_ms=3_600_000.0)
    assert told() == [("clock", 0, 3600.0)]
    says(stage, "leap_second", 2)
    says(stage, "settled", 1)
    assert told() == []


def test_a_clock_that_was_set_back_at_once_is_well(stage: Stage) -> None:
    says(stage, "settled", 1)
    says(stage, "jump", 1, offset_ms=-3_600_000.0)
    assert told() == []


def test_a_clock_that_ran_ahead_and_was_set_right_is_well(stage: Stage) -> None:
    """It dates its jump by the time it jumped to, which is later than that of the all-clear."""
    says(stage, "jump", -1, offset_ms=3_600_000.0)
    says(stage, "jump", 0.5, offset_ms=-3_600_000.0)
    says(stage, "settled", 0.2)
    assert told() == []


def test_a_clock_that_fell_back_behind_its_last_all_clear_is_named(stage: Stage) -> None:
    says(stage, "settled", 1)
    says(stage, "jump", 1.5, offset_ms=-3_600_000.0)
    assert [(kind, figure) for kind, _, figure in told()] == [("clock", -3600.0)]


def test_a_jump_ahead_counts_from_when_it_was_told(stage: Stage) -> None:
    says(stage, "contradicted", -24 * 365)
    (one,) = troubles(Concentrator.objects.all(), NOW)
    assert one.since == AdapterEvent.objects.get().stored_at


@pytest.mark.parametrize("offset", [10**400, -(10**400), 1e308], ids=["ahead", "back", "float"])
def test_a_jump_of_any_length_that_can_be_written_is_bearable(stage: Stage, offset: float) -> None:
    says(stage, "jump", 1, offset_ms=offset)
    (one,) = troubles(Concentrator.objects.all(), NOW)
    assert one.figure is not None
    assert abs(one.figure) == 100 * 366 * 86_400


def test_a_jump_that_has_settled_leaves_the_contradiction(stage: Stage) -> None:
    says(stage, "jump", 4, offset_ms=2_000.0)
    says(stage, "contradicted", 3)
    says(stage, "settled", 2)
    (one,) = troubles(Concentrator.objects.all(), NOW)
    assert (one.since, one.figure) == (NOW - timedelta(hours=3), None)


def test_the_drift_of_weeks_is_in_order_and_bounded(stage: Stage, device: Device) -> None:
    for ago in (70, 59, 3, 30):
        day(stage, device, ago, rate_ppb=ago)
    assert [row.rate_ppb for row in drift(device.row, now=NOW)] == [59, 30, 3]
    assert [row.rate_ppb for row in drift(device.row, 5, NOW)] == [3]
