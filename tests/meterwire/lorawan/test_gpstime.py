"""GPS time against the published vectors and across leap seconds."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.lorawan.gpstime import GPS_EPOCH_UNIX, gps_seconds, unix_seconds
from tests.meterwire.vectors import load


@pytest.mark.parametrize(("moment", "gps"), load("lorawan")["gps_seconds"]["times"])
def test_published_moments(moment: str, gps: int) -> None:
    unix = datetime.fromisoformat(moment).timestamp()
    assert gps_seconds(unix) == gps
    assert unix_seconds(gps) == unix


def test_the_scale_begins_in_1980_and_is_18_seconds_ahead_today() -> None:
    assert gps_seconds(GPS_EPOCH_UNIX) == 0
    today = datetime.fromisoformat("2026-11-24T00:00:00Z").timestamp()
    assert gps_seconds(today) - (today - GPS_EPOCH_UNIX) == 18


def test_a_leap_second_takes_two_gps_seconds() -> None:
    new_year = datetime.fromisoformat("2017-01-01T00:00:00Z").timestamp()
    assert gps_seconds(new_year) - gps_seconds(new_year - 1) == 2
    assert unix_seconds(gps_seconds(new_year) - 1) == new_year


@given(st.integers(GPS_EPOCH_UNIX, 2**32))
def test_every_unix_second_comes_back(unix: int) -> None:
    assert unix_seconds(gps_seconds(unix)) == unix
