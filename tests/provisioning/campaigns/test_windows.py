"""Maintenance windows in local time."""

from datetime import UTC, datetime, time

import pytest

from provisioning.campaigns.windows import is_open, open_zones

BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    "begin, end, moment, expected",
    [
        (None, None, "2026-11-24T12:00", True),
        (time(1), time(5), "2026-11-24T00:00", True),  # 01:00 in Berlin
        (time(1), time(5), "2026-11-23T23:59", False),
        (time(1), time(5), "2026-11-24T04:00", False),  # its end does not belong to it
        (time(22), time(4), "2026-11-24T21:00", True),  # before midnight
        (time(22), time(4), "2026-11-25T02:59", True),  # after it
        (time(22), time(4), "2026-11-25T03:00", False),
        (time(22), time(4), "2026-11-24T20:59", False),
        (time(2), time(3), "2026-03-29T00:59", False),  # 01:59; then the clock jumps to 03:00
        (time(2), time(3), "2026-03-29T01:00", False),
        (time(2), time(3), "2026-10-25T00:30", True),  # 02:30, summer
        (time(2), time(3), "2026-10-25T01:30", True),  # 02:30 once more, winter
        (time(2), time(3), "2026-10-25T02:00", False),
        (time(1), time(5), "2026-07-01T02:59", True),  # summer: two hours ahead
        (time(1), time(5), "2026-07-01T03:00", False),
    ],
)
def test_a_window_is_open_by_the_wall_clock(begin: time | None, end: time | None, moment: str, expected: bool) -> None:
    assert is_open(begin, end, BERLIN, datetime.fromisoformat(moment).replace(tzinfo=UTC)) is expected


def test_a_window_opens_in_each_zone_at_its_own_time() -> None:
    zones = [BERLIN, "Europe/Lisbon", "America/New_York"]
    assert open_zones(time(1), time(2), zones, datetime(2026, 11, 24, 0, 30, tzinfo=UTC)) == [BERLIN]
    assert open_zones(time(1), time(2), zones, datetime(2026, 11, 24, 1, 30, tzinfo=UTC)) == ["Europe/Lisbon"]
    assert open_zones(None, None, zones, datetime(2026, 11, 24, tzinfo=UTC)) == zones
