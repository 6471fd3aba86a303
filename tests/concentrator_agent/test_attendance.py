"""Who came in its slot and who did not, counted by occurrences."""

import sys
from random import Random

import pytest

from concentrator_agent.server.attendance import LATE_S, SILENT_REPORTS, Attendance, Expected

T = 1_767_225_600.0  # a multiple of an hour
MINUTE, QUARTER, DAY = 60_000, 900_000, 86_400_000


def of_one(period: int = QUARTER, phase: int = 120_000) -> Attendance:
    """Device 1, whose first occurrence after T came."""
    attendance = Attendance([(1, period, phase, 7)])
    attendance.came(1, T + phase / 1000)
    return attendance


def test_what_did_not_come_was_missed() -> None:
    attendance = of_one()
    for number in (1, 3):
        attendance.came(1, T + 120 + 900 * number)
    assert attendance.take(1, T + 3600) == Expected(4, 1, 0)
    assert attendance.take(1, T + 3600) == Expected(0, 0, 0), "told once"


def test_nothing_is_expected_before_the_first_one_came() -> None:
    attendance = Attendance([(1, QUARTER, 120_000, 7)])
    assert attendance.take(1, T + 7200) == Expected(0, 0, 0)
    assert list(attendance.silent(T + 7200)) == []
    attendance.came(1, T + 7320)
    assert attendance.take(1, T + 9000) == Expected(2, 1, 0)


def test_an_occurrence_is_not_missed_while_it_may_still_come() -> None:
    attendance = of_one()
    assert attendance.take(1, T + 1020 + LATE_S - 1) == Expected(1, 0, 0)
    assert attendance.take(1, T + 1020 + LATE_S) == Expected(1, 1, 0)


def test_one_that_came_just_now_counts_with_the_next_report() -> None:
    attendance = of_one()
    assert attendance.take(1, T + 121) == Expected(0, 0, 0)
    attendance.came(1, T + 1020)
    assert attendance.take(1, T + 1021) == Expected(1, 0, 0)
    assert attendance.take(1, T + 1910) == Expected(1, 0, 0)


def test_the_same_occurrence_counts_once() -> None:
    attendance = of_one()
    for _ in range(3):
        attendance.came(1, T + 120)
    assert attendance.take(1, T + 900) == Expected(1, 0, 0)


def test_missed_while_others_came_is_told_apart_from_missed_by_all() -> None:
    attendance = Attendance([(1, QUARTER, 120_000, 1), (2, QUARTER, 150_000, 1)])
    for eui, begin in ((1, 120), (2, 150), (2, 1050)):  # 2 comes in the minute of the second occurrence of 1
        attendance.came(eui, T + begin)
    assert attendance.take(1, T + 2700) == Expected(3, 2, 1)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_comes_the_reports_add_up(seed: int) -> None:
    random = Random(seed)
    period = random.choice((MINUTE, 5 * MINUTE, QUARTER))
    attendance = of_one(period, 17_000)
    came, expected, missed = 1, 0, 0
    now = T
    for number in range(1, 400):
        begin = T + 17 + number * period / 1000
        if random.random() < 0.7:
            attendance.came(1, begin)
            came += 1
        now = begin + 30
        if number % (3600_000 // period) == 0:
            told = attendance.take(1, now)
            assert told is not None
            expected, missed = expected + told.expected, missed + told.missed
    told = attendance.take(1, now)
    assert told is not None
    assert (expected + told.expected, missed + told.missed) == (400, 400 - came)


def test_a_device_that_falls_silent_is_told_of_hourly_and_after_a_day_daily() -> None:
    attendance = of_one(MINUTE, 0)
    attendance.take(1, T + 59)
    told = []
    for minute in range(1, 3 * 24 * 60):
        told += [(minute // 60, *one) for one in attendance.silent(T + 60 * minute)]
    hours = [hour for hour, *_ in told]
    assert hours[:3] == [1, 2, 3]
    assert len(hours) <= SILENT_REPORTS + 3
    assert told[0][1:3] == (1, 7)
    assert told[0][3].missed == told[0][3].expected > 58
    attendance.came(1, T + 3 * 86_400 + 60)
    again = [one for minute in range(3 * 1440, 3 * 1440 + 200) for one in attendance.silent(T + 60 * minute)]
    assert again, "whoever came back is told of again at once"


def test_a_device_that_is_heard_is_not_told_of_as_silent() -> None:
    attendance = of_one(MINUTE, 0)
    for minute in range(200):
        attendance.came(1, T + 60 * minute)
        assert list(attendance.silent(T + 60 * minute + 1)) == []
        if minute % 60 == 59:
            attendance.take(1, T + 60 * minute + 1)


def test_one_that_came_and_then_fell_silent_before_a_report_is_told_of_too() -> None:
    attendance = of_one()
    told = [one for minute in range(600) for one in attendance.silent(T + 60 * minute)]
    assert told[0][2].expected - told[0][2].missed == 1


def test_a_daily_slot_is_missed_an_hour_after_its_day() -> None:
    attendance = of_one(DAY, 3_600_000)
    assert attendance.take(1, T + 7200) == Expected(1, 0, 0)
    assert list(attendance.silent(T + 86_400 + 3600 + 3000)) == []
    assert [missed for *_, missed in attendance.silent(T + 86_400 + 7200 + LATE_S)] == [Expected(1, 1, 0)]


def test_each_look_takes_its_share_of_all() -> None:
    attendance = Attendance([(number, MINUTE, 0, 1) for number in range(100)])
    for number in range(100):
        attendance.came(number, T)
    told = [[eui for eui, *_ in attendance.silent(T + 8000, 0.1)] for _ in range(10)]
    assert [len(some) for some in told] == [10] * 10
    assert sorted(eui for some in told for eui in some) == list(range(100))


def test_a_new_slot_is_counted_anew_and_the_same_one_goes_on() -> None:
    attendance = of_one()
    attendance.put(1, QUARTER, 120_000, 8)
    assert attendance.take(1, T + 1100) == Expected(2, 1, 0)
    attendance.put(1, QUARTER, 180_000, 9)
    assert attendance.take(1, T + 2700) == Expected(0, 0, 0)
    attendance.put(2, MINUTE, 0, 1)
    attendance.drop(1)
    attendance.came(2, T)
    attendance.came(1, T + 180)
    assert attendance.take(1, T + 9000) is None
    assert attendance.take(2, T + 119) == Expected(2, 1, 0)


def test_another_table_takes_over_what_was_counted_of_the_same_slots() -> None:
    before = Attendance([(1, QUARTER, 120_000, 7), (2, QUARTER, 0, 7)])
    before.came(1, T + 120)
    before.came(2, T)
    after = Attendance([(1, QUARTER, 120_000, 7), (2, QUARTER, 1000, 8)])
    after.keep(before)
    assert after.take(1, T + 1000) == Expected(1, 0, 0)
    assert after.take(2, T + 1000) == Expected(0, 0, 0)


def test_a_clock_that_is_set_counts_nothing_twice_and_goes_on() -> None:
    attendance = of_one()
    assert attendance.take(1, T + 100 * 86_400) == Expected(64, 63, 0), "as many as are remembered"
    assert attendance.take(1, T) == Expected(0, 0, 0)
    attendance.came(1, T + 120)
    assert attendance.take(1, T + 900) == Expected(1, 0, 0)


def test_after_the_clock_was_set_nothing_is_missed_by_the_time_of_before() -> None:
    attendance = Attendance([(1, QUARTER, 120_000, 7), (2, MINUTE, 0, 7), (3, MINUTE, 0, 7)])
    attendance.came(1, T + 120)
    attendance.came(2, T + 120)
    attendance.begin_anew(T + 3600)
    assert [attendance.take(eui, T + 3660) for eui in (1, 2, 3)] == [Expected(0, 0, 0)] * 3
    assert attendance.take(2, T + 3690) == Expected(1, 1, 0)
    assert list(attendance.silent(T + 7000)) == [], "not heard of for an hour by the new time only"
    assert [eui for eui, *_ in attendance.silent(T + 8400)] == [1, 2], "and of 3 nothing was ever expected"


def test_after_the_clock_was_set_back_others_are_still_seen_in_the_same_minute() -> None:
    attendance = Attendance([(number, MINUTE, 0, 1) for number in (1, 2)])
    for minute in range(200):
        attendance.came(1, T + 86_400 + 60 * minute)
    attendance.begin_anew(T)
    attendance.came(2, T + 60)
    attendance.came(1, T + 120)
    assert attendance.take(1, T + 140) == Expected(2, 1, 1)
    attendance.came(2, T + 180)
    assert attendance.take(1, T + 200) == Expected(1, 1, 1)


def test_thirty_thousand_devices_take_about_a_megabyte() -> None:
    attendance = Attendance((number, QUARTER, number, 1) for number in range(30_000))
    assert sum(sys.getsizeof(column) for column in attendance._columns) < 1_050_000
