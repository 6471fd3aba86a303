"""The header that says how long to wait."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concentrator_agent.enrolment.est import MAX_WAIT_S, MIN_WAIT_S, retry_after

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value, seconds",
    [
        (None, None),
        ("60", 60.0),
        (" 60 ", 60.0),
        ("0", MIN_WAIT_S),
        ("99999999999", MAX_WAIT_S),
        (format_datetime(NOW + timedelta(minutes=10), usegmt=True), 600.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), MIN_WAIT_S),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("Fri, 99 Nov 2026 12:00:00 GMT", None),
    ],
)
def test_seconds_and_dates_within_bounds(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW.timestamp()) == seconds


@given(st.text(max_size=60))
def test_no_text_raises_or_leads_out_of_bounds(value: str) -> None:
    seconds = retry_after(value, NOW.timestamp())
    assert seconds is None or MIN_WAIT_S <= seconds <= MAX_WAIT_S
