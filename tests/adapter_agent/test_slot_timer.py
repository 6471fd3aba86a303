"""Every adapter sends in a phase of its own."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from adapter_agent.slot_timer import SlotTimer
from meterwire.ids import DevEUI


def timer(number: int = 1, period_s: float = 900.0, jitter: float = 0.0) -> SlotTimer:
    return SlotTimer(DevEUI.from_bytes(number.to_bytes(8, "big")), period_s, jitter, Random(1))


def test_a_phase_is_kept_over_restarts_and_days():
    first = timer().next_after(1_767_225_600.0)
    assert timer().next_after(first + 1) == first + 900
    assert timer().next_after(first + 86_400 * 30) == first + 86_400 * 30 + 900


def test_adapters_are_spread_evenly_over_the_period():
    phases = sorted(timer(number).next_after(0.0) % 900 for number in range(200))
    gaps = [later - earlier for earlier, later in pairwise(phases)]
    assert max(gaps) < 40


@given(st.floats(0, 4e9), st.floats(1, 86_400), st.floats(0, 1))
def test_the_next_instant_lies_ahead_and_within_a_period_and_its_jitter(now, period_s, jitter):
    due = timer(7, period_s, jitter).next_after(now)
    assert now - 1e-3 <= due <= now + period_s * (1 + jitter) + 1e-3


@given(st.floats(0, 4e9), st.floats(1, 86_400), st.floats(0, 1))
def test_the_first_time_comes_soon(now, period_s, jitter):
    assert now <= timer(7, period_s, jitter).soon_after(now) <= now + min(10, jitter * period_s) + 1e-3
