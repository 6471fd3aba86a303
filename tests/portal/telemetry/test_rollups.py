"""Hours and days condensed from readings, again where one came late."""

from datetime import UTC, datetime, timedelta

import pytest

from meterwire.messages import timestamp
from portal.telemetry.models import DayRollup, HourRollup, LateHour, Reading
from portal.telemetry.rollups import day_of, roll_up
from tests.portal.stage import NOON, Device, Stage

pytestmark = pytest.mark.django_db
MIDDAY = datetime.fromtimestamp(NOON, UTC).replace(minute=0, second=0, microsecond=0)


def hear(stage: Stage, device: Device, when: datetime, *values: tuple[int, int], now: datetime | None = None) -> None:
    at = when.timestamp()
    stage.run(device.telegram(*values, received_at=timestamp(at + 0.1)), now=at + 1 if now is None else now.timestamp())


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def test_an_hour_holds_first_last_least_most_mean_and_count(stage: Stage) -> None:
    device, point = stage.device(), stage.metering_point()
    stage.pair(device.row, point)
    for minute, value in ((0, 500), (20, 100), (40, 900), (59, 300)):
        hear(stage, device, MIDDAY + minutes(minute), (7, value))
    hear(stage, device, MIDDAY + minutes(61), (7, 9_999))
    roll_up(MIDDAY + minutes(72))
    row = HourRollup.objects.get()
    assert (row.adapter, row.register, row.start, row.metering_point) == (device.row, 7, MIDDAY, point)
    assert (row.first_value, row.last_value, row.min_value, row.max_value) == (500, 300, 100, 900)
    assert (row.mean, row.count) == (450, 4)
    assert MIDDAY <= row.first_at < row.last_at < MIDDAY + minutes(60)


def test_an_hour_is_condensed_once_it_is_over_and_settled(stage: Stage) -> None:
    hear(stage, stage.device(), MIDDAY + minutes(5), (1, 1))
    roll_up(MIDDAY + minutes(65))
    assert not HourRollup.objects.exists()
    roll_up(MIDDAY + minutes(70))
    assert HourRollup.objects.count() == 1


def test_hours_missed_by_a_worker_that_was_away_are_made_up_for(stage: Stage) -> None:
    device = stage.device()
    for hour in range(5):
        hear(stage, device, MIDDAY + timedelta(hours=hour, minutes=5), (1, hour))
    roll_up(MIDDAY + minutes(75))
    roll_up(MIDDAY + timedelta(hours=5, minutes=15))
    assert list(HourRollup.objects.order_by("start").values_list("first_value", flat=True)) == [0, 1, 2, 3, 4]


def test_a_late_reading_condenses_its_hour_and_day_again(stage: Stage) -> None:
    device, other = stage.device(), stage.device()
    hear(stage, device, MIDDAY + minutes(5), (1, 10))
    hear(stage, other, MIDDAY + minutes(5), (1, 5))
    later = MIDDAY + timedelta(days=1, hours=3)
    roll_up(later)
    assert not LateHour.objects.exists()
    hear(stage, device, MIDDAY + minutes(50), (1, 70), now=later)
    assert LateHour.objects.get().adapter == device.row
    roll_up(later + minutes(10))
    assert not LateHour.objects.exists()
    assert HourRollup.objects.get(adapter=device.row).last_value == 70
    assert DayRollup.objects.get(adapter=device.row).last_value == 70
    assert DayRollup.objects.get(adapter=other.row).last_value == 5


def test_a_reading_from_last_year_condenses_that_hour(stage: Stage) -> None:
    device, long_ago = stage.device(), MIDDAY - timedelta(days=300)
    hear(stage, device, long_ago, (1, 10), now=MIDDAY)
    roll_up(MIDDAY)
    assert HourRollup.objects.get().start == long_ago
    assert DayRollup.objects.get().first_value == 10


def test_a_day_is_the_calendar_day_of_the_portals_time_zone(stage: Stage) -> None:
    """Daylight saving began in Berlin on 29 March 2026; that day had 23 hours."""
    device = stage.device()
    start = day_of(datetime(2026, 3, 29, 12, tzinfo=UTC)).astimezone(UTC)
    assert start == datetime(2026, 3, 28, 23, tzinfo=UTC)
    for hour in range(-1, 24):
        hear(stage, device, start + timedelta(hours=hour, minutes=30), (1, 100 + hour))
    roll_up(start + timedelta(days=2))
    row = DayRollup.objects.get(start=start)
    assert (row.first_value, row.last_value, row.count) == (100, 122, 23)
    assert DayRollup.objects.filter(start__gt=start).get().first_value == 123


def test_sealed_values_are_left_out(stage: Stage) -> None:
    hear(stage, stage.device(keyed=False), MIDDAY, (1, 10))
    roll_up(MIDDAY + timedelta(days=2))
    assert Reading.objects.count() == 1
    assert not HourRollup.objects.exists()


def test_condensing_twice_changes_nothing(stage: Stage) -> None:
    device = stage.device()
    hear(stage, device, MIDDAY + minutes(5), (1, 10))
    for _ in range(2):
        roll_up(MIDDAY + timedelta(days=2))
    assert HourRollup.objects.count() == DayRollup.objects.count() == 1
