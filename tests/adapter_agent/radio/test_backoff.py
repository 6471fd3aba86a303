"""The longer nobody answers, the less a device may ask (TS001-1.0.4 section 7)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_agent.radio.backoff import JoinBackoff
from meterwire.errors import FormatError

HOUR, DAY = 3600.0, 86_400.0


def requests(air_s: float, until: float, backoff: JoinBackoff | None = None, begin: float = 1e9) -> list[float]:
    """When requests go out that are sent as soon as allowed, one second apart at least."""
    backoff = backoff or JoinBackoff()
    now, sent = begin, []
    while (now := backoff.earliest(air_s, now)) < begin + until:
        backoff.record(air_s, now)
        sent.append(now - begin)
        now += 1.0
    return sent


def spent(sent: list[float], air_s: float, first: float, last: float) -> float:
    return air_s * len([at for at in sent if first <= at < last])


@pytest.mark.parametrize("air_s", [0.0617, 0.37, 1.483])
def test_the_air_of_each_period_is_kept_and_nearly_used(air_s):
    sent = requests(air_s, 11 * HOUR + 3 * DAY)
    periods = [(0.0, HOUR, 36.0), (HOUR, 11 * HOUR, 36.0)]
    periods += [(11 * HOUR + day * DAY, 11 * HOUR + (day + 1) * DAY, 8.7) for day in range(3)]
    for first, last, allowance in periods:
        assert allowance - air_s < spent(sent, air_s, first, last) <= allowance


def test_an_answer_starts_afresh():
    backoff = JoinBackoff()
    requests(1.483, 30 * HOUR, backoff)
    backoff.clear()
    assert backoff.earliest(1.483, 2e9) == 2e9


def test_a_restart_is_no_fresh_start():
    backoff = JoinBackoff()
    requests(1.483, HOUR, backoff)
    restored = JoinBackoff.from_state(json.loads(json.dumps(backoff.to_state())))
    assert restored.earliest(1.483, 1e9 + 1800) == 1e9 + HOUR


def test_a_clock_set_back_does_not_block_for_ever():
    backoff = JoinBackoff()
    requests(1.483, HOUR, backoff)
    assert backoff.earliest(1.483, 1e9 - 5 * DAY) <= 1e9 - 5 * DAY + HOUR


def test_a_damaged_state_is_refused():
    for state in ({}, {"since": "x", "period": 0, "spent": 0}, {"since": None, "period": None, "spent": 0}):
        with pytest.raises(FormatError):
            JoinBackoff.from_state(state)


@given(st.lists(st.tuples(st.floats(0.01, 3), st.floats(0, 1e5)), max_size=30))
def test_waiting_as_told_is_always_enough(steps):
    backoff, now = JoinBackoff(), 1e9
    for air_s, pause in steps:
        now = backoff.earliest(air_s, now + pause)
        assert backoff.earliest(air_s, now) == now
        backoff.record(air_s, now)
