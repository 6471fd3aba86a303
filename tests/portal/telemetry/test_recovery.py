"""A telegram that is lost loses no reading while the next one carries the previous value."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterwire.messages import Telegram, timestamp
from meterwire.values_telegram import Mode
from portal.telemetry.arrivals import Arrival, moment
from portal.telemetry.models import DayRollup, HourRollup, Reading
from portal.telemetry.models import Telegram as Stored
from portal.telemetry.rollups import roll_up
from provisioning.slots.models import Assignment
from tests.portal.stage import NOON, Device, Stage, telegram

pytestmark = pytest.mark.django_db

PERIOD = 900.0
PREVIOUS = 0


def carrying(device: Device, counts: list[int], start: float = NOON, period_s: float = PERIOD) -> list[Telegram]:
    """A telegram of import and power for each of `counts`, each with how much the import has grown."""
    made = []
    for number, value in enumerate(counts):
        step = [] if number == 0 else [(PREVIOUS, value - counts[number - 1])]
        at = timestamp(start + number * period_s)
        made.append(device.telegram((1, value), (7, 40 + number), *step, received_at=at))
    return made


def hear(stage: Stage, *telegrams: Telegram, now: float = 0.0) -> list[Arrival]:
    latest = max(datetime.fromisoformat(one.received_at).timestamp() for one in telegrams)
    return stage.run(*telegrams, now=now or latest + 1)


def series(device: Device, register: int = 1) -> list[tuple[int, int | None, bool]]:
    rows = Reading.objects.filter(adapter=device.row, register=register).order_by("counter")
    return list(rows.values_list("counter", "value", "recovered"))


def hours() -> list[HourRollup]:
    return list(HourRollup.objects.filter(register=1).order_by("start"))


def give_slot(stage: Stage, device: Device, period_s: int, echoed: int | None = 3) -> None:
    Assignment.objects.create(
        adapter=device.row, organisation=stage.organisation, concentrator=stage.concentrator, period_s=period_s,
        length_ms=200, version=3, echoed_version=echoed,
    )  # fmt: skip


def test_a_telegram_is_lost_and_its_reading_is_not(stage: Stage) -> None:
    device, point = stage.device(), stage.metering_point()
    stage.pair(device.row, point)
    made = carrying(device, [1000, 1010, 1030])
    hear(stage, made[0], made[2])
    assert series(device) == [(1000, 1000, False), (1001, 1010, True), (1002, 1030, False)]
    row = Reading.objects.get(recovered=True)
    assert row.metering_point == point
    assert abs(row.measured_at - moment(round((NOON + PERIOD) * 1e6))) < timedelta(seconds=1)


def test_only_the_first_register_is_recovered_and_the_previous_value_is_no_reading(stage: Stage) -> None:
    device = stage.device()
    made = carrying(device, [1000, 1010, 1030])
    arrivals = hear(stage, made[0], made[2])
    assert [counter for counter, *_ in series(device, 7)] == [1000, 1002]
    assert series(device, PREVIOUS) == []
    assert [len(arrival.readings or ()) for arrival in arrivals] == [2, 2]


def test_nothing_is_recovered_where_nothing_is_lost(stage: Stage) -> None:
    device = stage.device()
    hear(stage, *carrying(device, [1, 2, 3, 5, 8]))
    assert not Reading.objects.filter(recovered=True).exists()


def test_each_input_tells_its_own(stage: Stage) -> None:
    device = stage.device()
    first, second = 2 * 32 + 1, 2 * 32
    hear(stage, device.telegram((1, 100), (first, 7)))
    device.counter += 1
    hear(stage, device.telegram((1, 130), (PREVIOUS, 20), (first, 9), (second, 1), received_at=timestamp(NOON + 1800)))
    assert series(device)[1] == (1001, 110, True)
    assert series(device, first)[1] == (1001, 8, True)


def test_an_age_moves_the_recovered_reading_too(stage: Stage) -> None:
    device = stage.device()
    give_slot(stage, device, 900)
    hear(stage, device.telegram((27, 60), (1, 130), (PREVIOUS, 20), received_at=timestamp(NOON)))
    before, after = Reading.objects.order_by("counter")
    assert (before.value, before.recovered) == (110, True)
    assert after.measured_at - before.measured_at == timedelta(seconds=900)
    assert moment(round((NOON - 61) * 1e6)) < after.measured_at < moment(round((NOON - 60) * 1e6))


def test_the_period_is_that_of_the_slot_the_adapter_runs(stage: Stage) -> None:
    device = stage.device()
    give_slot(stage, device, 3600)
    hear(stage, device.telegram((1, 130), (PREVIOUS, 20)))
    before, after = Reading.objects.order_by("counter")
    assert after.measured_at - before.measured_at == timedelta(hours=1)


def test_before_the_adapter_runs_its_slot_its_neighbours_tell_the_period(stage: Stage) -> None:
    device = stage.device()
    give_slot(stage, device, 3600, echoed=2)
    made = carrying(device, [1000, 1010, 1030])
    hear(stage, made[0], made[2])
    times = [row.measured_at for row in Reading.objects.filter(register=1).order_by("counter")]
    for step in (times[1] - times[0], times[2] - times[1]):
        assert abs(step - timedelta(seconds=900)) < timedelta(milliseconds=10)  # the first one is shorter on the air


def test_what_cannot_be_dated_is_not_recovered(stage: Stage) -> None:
    device = stage.device()
    hear(stage, device.telegram((1, 130), (PREVIOUS, 20)))
    assert series(device) == [(1000, 130, False)]


def test_a_register_that_would_have_been_negative_is_left_out_and_the_telegram_kept(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    device = stage.device()
    give_slot(stage, device, 900)
    (arrival,) = hear(stage, device.telegram((1, 31_337), (PREVIOUS, 65_535)))
    assert arrival.error is None
    assert series(device) == [(1000, 31_337, False)]
    assert "previous value" in caplog.text
    assert "31337" not in caplog.text


def test_the_very_first_counter_has_none_before_it(stage: Stage) -> None:
    device = stage.device()
    give_slot(stage, device, 900)
    hear(stage, device.telegram((1, 30), (PREVIOUS, 20), seal_counter=0))
    assert series(device) == [(0, 30, False)]


def test_a_telegram_whose_key_is_not_ours_recovers_nothing(stage: Stage) -> None:
    device = stage.device(keyed=False)
    give_slot(stage, device, 900)
    hear(stage, device.telegram((1, 30), (PREVIOUS, 20)))
    assert series(device) == [(1000, None, False)]
    assert not Reading.objects.filter(register=PREVIOUS).exists()


@pytest.mark.parametrize("mode", [Mode.VALUES, Mode.ALL, Mode.CLEAR])
def test_every_mode_that_opens_carries_it(stage: Stage, mode: Mode) -> None:
    device = stage.device()
    give_slot(stage, device, 900)
    hear(stage, device.telegram((1, 30), (PREVIOUS, 20), mode=mode))
    assert series(device)[0] == (999, 10, True)


def test_the_lost_telegram_comes_late_and_its_readings_stand_instead(stage: Stage) -> None:
    device = stage.device()
    made = carrying(device, [1000, 1010, 1030])
    hear(stage, made[0], made[2])
    hear(stage, made[1], now=NOON + 3 * PERIOD)
    assert series(device) == [(1000, 1000, False), (1001, 1010, False), (1002, 1030, False)]
    assert [counter for counter, *_ in series(device, 7)] == [1000, 1001, 1002]


def test_late_telegrams_of_many_adapters_are_looked_up_one_by_one(stage: Stage) -> None:
    """Lists of adapters and of counters would be read crosswise: every reading of all of these adapters."""
    devices = [stage.device() for _ in range(4)]
    made = {device.row.pk: carrying(device, [1000, 1010, 1030]) for device in devices}
    for one in made.values():
        hear(stage, one[0], one[2])
    with CaptureQueriesContext(connection) as captured:
        hear(stage, *(one[1] for one in made.values()), now=NOON + 3 * PERIOD)
    assert not Reading.objects.filter(recovered=True).exists()
    asked = [query["sql"] for query in captured if "telemetry_reading" in query["sql"] and " IN (" in query["sql"]]
    assert asked
    assert all("(adapter_id, counter) IN (VALUES" in sql for sql in asked)
    others = {(device.row.pk, 1000) for device in devices}
    assert stage.pipeline.store.recovered(others) == set()


def test_one_batch_may_hold_it_in_any_order(stage: Stage) -> None:
    device = stage.device()
    made = carrying(device, [1000, 1010, 1030, 1031])
    hear(stage, made[3], made[2], made[1], made[0])
    assert [recovered for *_, recovered in series(device)] == [False] * 4


def test_a_second_bridge_that_knows_less_replaces_it_too(stage: Stage) -> None:
    device = stage.device()
    made = carrying(device, [1000, 1010, 1030])
    hear(stage, made[0])
    other = stage.pipeline_for()
    stage.pipeline, first = other, stage.pipeline
    other.directory.adapters({device.row.dev_eui})  # remembers 1000 as the last counter
    stage.pipeline = first
    hear(stage, made[2])
    stage.pipeline = other
    hear(stage, made[1])
    assert series(device)[1] == (1001, 1010, False)


def test_duplicates_change_nothing(stage: Stage) -> None:
    device = stage.device()
    made = carrying(device, [1000, 1010, 1030])
    for _ in range(3):
        hear(stage, made[0], made[2])
    assert [recovered for *_, recovered in series(device)] == [False, True, False]


def test_a_reading_that_is_there_is_never_overwritten(stage: Stage) -> None:
    """The telegram before came, but this bridge does not know it."""
    device = stage.device()
    made = carrying(device, [1000, 1010, 1030])
    other = stage.pipeline_for()
    other.directory.adapters({device.row.dev_eui})
    hear(stage, made[0], made[1])
    stage.pipeline = other
    hear(stage, made[2])
    assert series(device)[1] == (1001, 1010, False)


def test_roll_ups_hold_the_recovered_reading_and_then_the_true_one_once(stage: Stage) -> None:
    device = stage.device()
    give_slot(stage, device, 900)
    hour = NOON - NOON % 3600
    made = carrying(device, [1000, 1010, 1030], start=hour + 1805)  # the last one is in the next hour
    hear(stage, made[0], made[2])
    later = moment(round((hour + 86_400 * 2) * 1e6))
    roll_up(later)
    assert [(row.count, row.last_value) for row in hours()] == [(2, 1010), (1, 1030)]
    hear(stage, made[1], now=later.timestamp())
    roll_up(later + timedelta(minutes=10))
    assert [(row.count, row.last_value) for row in hours()] == [(2, 1010), (1, 1030)]
    assert sum(row.count for row in DayRollup.objects.filter(register=1)) == 3


def test_an_hour_that_held_nothing_but_the_recovered_reading_is_forgotten_with_it(stage: Stage) -> None:
    device = stage.device()
    give_slot(stage, device, 3600)
    hour = NOON - NOON % 3600
    made = carrying(device, [1000, 1010, 1030], start=hour + 60, period_s=3600)
    hear(stage, made[0], made[2])
    later = moment(round((hour + 86_400 * 2) * 1e6))
    roll_up(later)
    assert [row.count for row in hours()] == [1, 1, 1]
    early = device.telegram((1, 1010), (7, 41), (PREVIOUS, 10), seal_counter=1001, received_at=timestamp(hour + 90))
    hear(stage, early, now=later.timestamp())
    roll_up(later + timedelta(minutes=10))
    assert [(row.count, row.last_value) for row in hours()] == [(2, 1010), (1, 1030)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.integers(0, 65_535), min_size=3, max_size=24), dice=st.randoms(use_true_random=False))
def test_no_reading_is_lost_whatever_single_telegrams_are(stage: Stage, steps: list[int], dice: object) -> None:
    """Any loss pattern without two losses in a row, in batches of any size."""
    device = stage.device()
    counts = [sum(steps[: number + 1]) for number in range(len(steps))]
    made = carrying(device, counts)
    lost: set[int] = set()
    for number in range(1, len(made) - 1):
        if number - 1 not in lost and dice.random() < 0.4:  # type: ignore[attr-defined]
            lost.add(number)
    kept = [one for number, one in enumerate(made) if number not in lost]
    while kept:
        size = dice.randint(1, 5)  # type: ignore[attr-defined]
        hear(stage, *kept[:size])
        kept = kept[size:]
    assert series(device) == [(1000 + number, value, number in lost) for number, value in enumerate(counts)]
    times = [row.measured_at for row in Reading.objects.filter(adapter=device.row, register=1).order_by("counter")]
    assert all(abs((at - times[0]).total_seconds() - number * PERIOD) < 2 for number, at in enumerate(times))


def test_telegrams_of_foreign_devices_are_left_alone(stage: Stage) -> None:
    stage.run(telegram(stage.device(kind="foreign").row.dev_eui, fport=2, payload=b"\1\2"))
    assert Stored.objects.count() == 1
