"""Numbers, spans and times as people write them, in both languages."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st

from portal.web import figures
from portal.web.registers import shown


def test_many_digits_stand_in_groups_of_four() -> None:
    assert figures.fours("0123456789") == "0123 4567 89"
    assert figures.fours("") == ""


@pytest.mark.parametrize(
    ("value", "digits", "english", "german"),
    [
        (1234567, 0, "1,234,567", "1.234.567"),
        (Decimal("12345.678"), 3, "12,345.678", "12.345,678"),
        (-1500, 0, "−1,500", "−1.500"),
        (-0.04, 1, "0.0", "0,0"),
        (0, 0, "0", "0"),
        (None, 2, "–", "–"),
    ],
)
def test_a_number_in_both_languages(value: object, digits: int, english: str, german: str) -> None:
    with override("en"):
        assert figures.figure(value, digits) == english  # type: ignore[arg-type]
    with override("de"):
        assert figures.figure(value, digits) == german  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (38, "38 s"),
        (89, "89 s"),
        (90, "2 min"),
        (900, "15 min"),
        (7200, "2 h"),
        (200_000, "2 d"),
        (None, "–"),
    ],
)
def test_a_span_is_told_in_its_largest_unit(seconds: float | None, text: str) -> None:
    with override("en"):
        assert figures.span(seconds) == text


NOW = datetime(2026, 5, 9, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("back", "english", "german"),
    [
        (timedelta(seconds=2), "2 s ago", "vor 2 s"),
        (timedelta(minutes=41, seconds=59), "41 min ago", "vor 41 min"),
        (timedelta(hours=23, minutes=59), "23 h ago", "vor 23 h"),
        (timedelta(seconds=-5), "0 s ago", "vor 0 s"),
    ],
)
def test_a_time_is_relative_under_a_day(back: timedelta, english: str, german: str) -> None:
    with override("en"):
        assert figures.ago(NOW - back, NOW) == english
    with override("de"):
        assert figures.ago(NOW - back, NOW) == german


def test_an_older_time_is_a_day_in_the_portal_s_zone() -> None:
    moment = datetime(2019, 12, 31, 23, 30, tzinfo=UTC)
    with override("en"):
        assert figures.ago(moment) == "1 Jan 2020, 00:30"
        assert figures.exact(moment) == "1 Jan 2020, 00:30:00 CET"
    with override("de"):
        assert figures.ago(moment) == "1. Jan 2020, 00:30"


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_a_hundred_per_cent_is_said_only_of_all(missing: int, whole: int) -> None:
    with override("en"):
        assert figures.percent(whole, whole) == "100.00 %"
        assert not figures.percent(max(0, whole - missing), whole).startswith("100")


@pytest.mark.parametrize(
    ("number", "value", "text", "unit"),
    [
        (1, 12_345_678, "12,345.678", "kWh"),
        (7, -1500, "−1,500", "W"),
        (11, 2301, "230.1", "V"),
        (14, 1234, "12.34", "A"),
        (17, 500, "50.0", "Hz"),
        (20, 123_456, "123.456", "m³"),
        (18, 999, "0.999", "kvarh"),
        (25, 42, "42", "units"),
        (29, -55, "−5.5", "°C"),
        (28, 361, "3.61", "V"),
    ],
)
def test_a_register_in_the_unit_a_person_reads(number: int, value: int, text: str, unit: str) -> None:
    with override("en"):
        assert (shown(number).quantity(value), shown(number).unit) == (text, unit)


@given(st.integers(0, 7), st.integers(1, 30))
def test_every_register_of_every_input_can_be_shown(input_: int, index: int) -> None:
    told = shown(input_ * 32 + index)
    assert told.name
    assert (told.rate_factor > 0) == told.counter
