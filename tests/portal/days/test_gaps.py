"""Telegrams lost two in a row are asked for with the signed day, and their readings belong where they were measured."""

from datetime import timedelta

import pytest

from meterwire.messages import timestamp
from portal.days.models import DayState
from portal.telemetry.arrivals import moment
from portal.telemetry.models import HourRollup, LateHour, Reading
from portal.telemetry.rollups import roll_up
from tests.portal.days.signer import Portal, Signer

pytestmark = pytest.mark.django_db

PERIOD_S = 900.0
PREVIOUS = 0


def readings(signer: Signer) -> list[tuple[int, int | None, bool]]:
    rows = Reading.objects.filter(adapter=signer.device.row, register=1).order_by("counter")
    return list(rows.values_list("counter", "value", "recovered"))


def late_by(signer: Signer, start: float) -> list[float]:
    """Seconds by which each reading is dated later than it was measured."""
    rows = Reading.objects.filter(adapter=signer.device.row, register=1).order_by("counter")
    begin = moment(round(start * 1e6))
    return [
        (row.measured_at - begin - timedelta(seconds=PERIOD_S) * number).total_seconds()
        for number, row in enumerate(rows)
    ]


@pytest.mark.parametrize("lost", [{20, 21}, {5, 6, 7, 40, 41, 42, 43}, {1, 2, 90, 91}])
def test_two_lost_in_a_row_are_asked_for_again_and_dated_between_their_neighbours(
    portal: Portal, signer: Signer, lost: set[int]
) -> None:
    start = signer.clock.time()
    day = signer.live_a_day(PERIOD_S)
    for number, one in enumerate(day):
        if number not in lost:
            portal.hear(signer, one)
    portal.converse(signer)
    assert readings(signer) == [(1000 + number, 1000 + number, False) for number in range(len(day))]
    assert all(abs(seconds) < 1 for seconds in late_by(signer, start))


def test_what_came_again_is_condensed_into_the_hours_it_was_lost_from(portal: Portal, signer: Signer) -> None:
    signer.clock.step(60)
    day = signer.live_a_day(PERIOD_S)
    portal.hear(signer, *(one for number, one in enumerate(day) if number not in {8, 9, 10, 11}))
    roll_up(moment(round((signer.clock.time() + 3600) * 1e6)))
    assert HourRollup.objects.filter(register=1).count() == 23
    portal.converse(signer)
    roll_up(moment(round((signer.clock.time() + 3600) * 1e6)))
    assert not LateHour.objects.exists()
    counts = HourRollup.objects.filter(register=1).order_by("start").values_list("count", flat=True)
    assert list(counts) == [4] * 23 + [3]


def test_what_was_recovered_and_then_asked_for_again_stands_and_counts_once(portal: Portal, signer: Signer) -> None:
    signer.clock.step(60)
    start, lost = signer.clock.time(), {8, 30, 50}
    for number in range(95):
        growth = [(PREVIOUS, 1)] if number else []
        at = timestamp(signer.clock.time())
        made = signer.device.telegram((1, 1000 + number), *growth, received_at=at)
        assert made.counter is not None
        signer.book.note(made.counter, 16, made.payload)
        if number not in lost:
            portal.hear(signer, made)
        signer.clock.step(PERIOD_S)
    signer.clock.step(PERIOD_S)
    assert readings(signer) == [(1000 + number, 1000 + number, number in lost) for number in range(95)]
    roll_up(moment(round((signer.clock.time() + 3600) * 1e6)))
    condensed = list(HourRollup.objects.order_by("start").values("start", "count", "first_value", "last_value"))
    portal.converse(signer)
    assert readings(signer) == [(1000 + number, 1000 + number, False) for number in range(95)]
    assert all(abs(seconds) < 1 for seconds in late_by(signer, start))
    roll_up(moment(round((signer.clock.time() + 3600) * 1e6)))
    assert list(HourRollup.objects.order_by("start").values("start", "count", "first_value", "last_value")) == condensed
    assert sum(row["count"] for row in condensed) == 95
    assert (portal.row(signer).state, portal.row(signer).missing) == (DayState.SIGNED, 0)


def test_the_first_telegram_of_all_is_dated_by_the_period(portal: Portal, signer: Signer) -> None:
    start = signer.clock.time()
    day = signer.live_a_day(PERIOD_S)
    for one in day[1:]:
        portal.hear(signer, one)
    portal.converse(signer)
    assert len(readings(signer)) == len(day)
    assert abs(late_by(signer, start)[0]) < 60
