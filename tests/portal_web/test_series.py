"""What the charts show: power from counters, consumption by hour and day, levels, and honest gaps."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from portal.telemetry.models import HourRollup
from portal.web.registers import shown
from portal.web.series import Chart, Window, chart, groups
from tests.portal_web.world import PERIOD, World

IMPORT, EXPORT, POWER, VOLTAGE = 1, 2, 7, 11


def draw(world: World, number: int = IMPORT, range_: str = "day", view: Any = "flow") -> Chart:
    return chart(world.adapter, [shown(number)], Window.of(range_, "", world.now), view)


def values(drawn: Chart, line: int = 0) -> list[float | None]:
    return drawn.as_json()["series"][line]["values"]  # type: ignore[no-any-return]


def test_a_counter_becomes_the_mean_power_between_two_readings(world: World) -> None:
    world.readings([10_000, 10_250, 10_250, 11_250])
    drawn = draw(world)
    assert drawn.kind == "steps"
    assert drawn.lines[0].unit == "W"
    assert values(drawn) == [None, 1000.0, 0.0, 4000.0]


def test_the_counter_itself_can_be_shown_in_kilowatt_hours(world: World) -> None:
    world.readings([10_000, 10_250])
    drawn = draw(world, view="counter")
    assert drawn.kind == "line"
    assert drawn.lines[0].unit == "kWh"
    assert values(drawn) == [10.0, 10.25]


def test_a_lost_reading_loses_no_energy(world: World) -> None:
    world.reading(10_000, 2 * PERIOD)
    world.reading(11_000)
    assert values(draw(world)) == [None, 2000.0]


def test_another_meter_with_a_lower_counter_is_no_negative_power(world: World) -> None:
    world.readings([900_000, 900_500, 100, 350])
    assert values(draw(world)) == [None, 2000.0, None, 1000.0]


def test_a_meter_that_shows_whole_kilowatt_hours_is_drawn_between_its_moves(world: World) -> None:
    world.readings([5_000_000, 5_000_000, 5_001_000, 5_001_000, 5_001_000, 5_001_000, 5_002_000])
    assert values(draw(world)) == [None, 2000.0, 1000.0]


def test_power_and_voltage_are_levels(world: World) -> None:
    world.readings([-1500, 300], POWER)
    world.readings([2301, 2298], VOLTAGE)
    assert values(draw(world, POWER)) == [-1500.0, 300.0]
    assert values(draw(world, VOLTAGE)) == [230.1, 229.8]


def test_import_and_export_share_their_times(world: World) -> None:
    world.readings([10_000, 10_250], IMPORT)
    world.readings([500], EXPORT)
    drawn = chart(world.adapter, [shown(IMPORT), shown(EXPORT)], Window.of("day", "", world.now), "counter")
    assert len(drawn.as_json()["x"]) == 2
    assert values(drawn, 1) == [None, 0.5]


def test_a_dense_day_is_thinned_and_keeps_its_energy(world: World) -> None:
    world.readings([100_000 + 10 * n for n in range(1440)], step=timedelta(minutes=1))
    drawn = draw(world)
    flow = [v for v in values(drawn) if v is not None]
    assert len(flow) <= 300
    assert all(v == pytest.approx(600, abs=1) for v in flow)


def test_sealed_values_are_counted_and_not_drawn(world: World) -> None:
    world.reading(None)
    drawn = draw(world)
    assert drawn.sealed == 1
    assert drawn.as_json()["x"] == []


def test_a_week_is_consumption_by_the_hour(world: World) -> None:
    noon = world.now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
    for quarter in range(9):
        world.reading(10_000 + 100 * quarter, world.now - (noon + quarter * PERIOD))
    drawn = draw(world, range_="week")
    assert drawn.kind == "bars"
    assert drawn.lines[0].unit == "kWh"
    assert values(drawn) == [0.3, 0.4, 0.1]


def test_rolled_up_hours_and_the_readings_after_them_are_one_line(world: World) -> None:
    hour = world.now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    for back, first, last in ((4, 1000, 1900), (3, 2000, 2900), (2, 3000, 3900)):
        start = hour - timedelta(hours=back)
        HourRollup.objects.create(
            adapter=world.adapter, register=IMPORT, start=start, metering_point=None, first_at=start, last_at=start,
            first_value=first, last_value=last, min_value=first, max_value=last, mean=1, count=4,
        )  # fmt: skip
    world.reading(4500, world.now - (hour - timedelta(minutes=50)))
    world.reading(4700, world.now - (hour - timedelta(minutes=30)))
    drawn = draw(world, range_="week")
    assert values(drawn) == [0.9, 1.0, 1.0, 0.8]


def test_a_month_is_consumption_by_the_local_day(world: World) -> None:
    midnight = timezone.localtime(world.now).replace(hour=0, minute=0, second=0, microsecond=0)
    world.reading(1_000, world.now - (midnight - timedelta(hours=20)))
    world.reading(6_000, world.now - (midnight - timedelta(hours=1)))
    world.reading(7_000, world.now - (midnight + timedelta(seconds=1)))
    drawn = draw(world, range_="month")
    assert drawn.width == 86400
    assert values(drawn) == [5.0, 1.0]


def test_water_is_shown_in_litres_an_hour_and_cubic_metres(world: World) -> None:
    world.readings([100_000, 100_030], 20)
    assert draw(world, 20).lines[0].unit == "l/h"
    assert values(draw(world, 20)) == [None, 120.0]
    assert values(draw(world, 20, view="counter")) == [100.0, 100.03]


def test_registers_are_grouped_into_charts_by_input() -> None:
    found = groups([1, 2, 7, 11, 12, 13, 27, 32 + 1], {})
    assert list(found) == ["energy", "power", "voltage", "1:energy"]
    assert [r.number for r in found["voltage"]] == [11, 12, 13]


def test_the_pages_of_a_day_follow_each_other(world: World) -> None:
    newest = Window.of("day", "", world.now)
    before = Window.of("day", str(int(newest.before.timestamp())), world.now)
    assert before.end.timestamp() == int(newest.start.timestamp())


def test_an_hour_shows_every_reading(world: World) -> None:
    world.readings([100_000 + 10 * n for n in range(61)], step=timedelta(minutes=1))
    assert [v for v in values(draw(world, range_="hour")) if v is not None] == [600.0] * 60


@pytest.mark.parametrize("range_", ["week", "month"])
def test_longer_windows_begin_and_end_at_local_midnight_also_when_the_clock_changes(range_: str) -> None:
    now = datetime(2026, 10, 27, 12, tzinfo=UTC)
    newest = Window.of(range_, "", now)
    before = Window.of(range_, str(int(newest.before.timestamp())), now)
    for moment in (newest.start, newest.end, before.start, before.end):
        assert timezone.localtime(moment).strftime("%H:%M:%S") == "00:00:00"
    assert before.end == newest.start


@pytest.mark.parametrize("end", ["", "nonsense", "99999999999", "0", "2026-13-40", "²", "-5", "2026-11-24T00:00"])
def test_an_end_that_cannot_be_read_means_the_newest_day(end: str, world: World) -> None:
    window = Window.of("decade", end, world.now)
    assert window.range == "day"
    assert window.end <= world.now


def test_single_steps_of_the_counters_are_drawn_together_at_common_moments(world: World) -> None:
    world.readings([100, 102, 104, 106, 108, 120], step=timedelta(minutes=1))
    world.readings([7, 7, 7, 7, 7, 7], register=EXPORT, step=timedelta(minutes=1))
    drawn = chart(world.adapter, [shown(IMPORT), shown(EXPORT)], Window.of("hour", "", world.now), "flow")
    assert values(drawn) == [None, 120.0, 420.0]
    assert values(drawn, 1) == [None, 0.0, 0.0]
