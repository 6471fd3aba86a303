"""The time of reception: from the gateway when it knows it, else from its counter and the least delay seen."""

import random

import pytest

from concentrator_agent.server.clock import ReceptionClock
from edge.clock import ManualClock

T = 1_767_225_600.0


@pytest.fixture
def suspicious() -> list[tuple[str, float]]:
    return []


@pytest.fixture
def stamps(clock: ManualClock, suspicious: list[tuple[str, float]]) -> ReceptionClock:
    return ReceptionClock(clock, lambda: "ntp", lambda gateway, offset: suspicious.append((gateway, offset)))


def test_the_gateways_own_time_is_taken(stamps: ReceptionClock) -> None:
    assert stamps.stamp("g", 0, T, T - 0.03) == (T - 0.03, "gps")


def test_a_gateway_whose_clock_is_far_off_is_reported_and_not_believed(
    stamps: ReceptionClock, suspicious: list[tuple[str, float]]
) -> None:
    assert stamps.stamp("g", 0, T, T + 3600) == (T, "ntp")
    assert suspicious == [("g", 3600.0)]


def test_delays_of_single_datagrams_are_taken_out(stamps: ReceptionClock) -> None:
    delays = [0.010, 0.002, 0.150, 0.004, 0.090]
    errors = []
    for number, delay in enumerate(delays):
        at, quality = stamps.stamp("g", number * 1_000_000, T + number + delay, None)
        errors.append(round(at - (T + number), 4))
        assert quality == "ntp"
    assert errors == [0.010, 0.002, 0.002, 0.002, 0.002]


def test_the_counter_wraps_and_the_clock_does_not_notice(stamps: ReceptionClock) -> None:
    start = 2**32 - 1_500_000
    for number in range(4):
        at, _ = stamps.stamp("g", (start + number * 1_000_000) % 2**32, T + number + 0.001 * number, None)
        assert at == pytest.approx(T + number, abs=1e-6)
    late, _ = stamps.stamp("g", start, T + 3.2, None)
    assert late == pytest.approx(T, abs=4)


def test_a_restarted_gateway_and_a_clock_that_was_set_begin_anew(stamps: ReceptionClock) -> None:
    stamps.stamp("g", 50_000_000, T, None)
    assert stamps.stamp("g", 1_000_000, T + 10, None)[0] == T + 10
    assert stamps.stamp("g", 2_000_000, T + 3611, None)[0] == T + 3611
    assert stamps.stamp("g", 3_000_000, T + 12, None)[0] == T + 12


def test_gateways_have_counters_of_their_own(stamps: ReceptionClock) -> None:
    stamps.stamp("g1", 0, T, None)
    assert stamps.stamp("g2", 999_000_000, T + 1, None)[0] == T + 1


def test_a_drifting_counter_is_followed(stamps: ReceptionClock) -> None:
    """20 ppm fast over an hour would be 72 ms; only the last minutes count."""
    for second in range(0, 3600, 10):
        at, _ = stamps.stamp("g", round(second * 1_000_000 * 1.00002), T + second, None)
    assert at == pytest.approx(T + 3590, abs=0.004)


@pytest.mark.parametrize("ppm", [-40, 0, 20])
def test_stamps_are_right_within_a_millisecond_whatever_the_counters_drift(stamps: ReceptionClock, ppm: float) -> None:
    """Datagrams are late by 0.2 ms and an exponential 5 ms more; frames come every four seconds."""
    dice = random.Random(3)
    errors = []
    for number in range(1800):
        sent = number * 4.0 + dice.uniform(0, 1)
        tmst = round(sent * (1e6 + ppm)) % 2**32
        at, _ = stamps.stamp("g", tmst, T + sent + 0.0002 + dice.expovariate(200.0), None)
        errors.append(abs(at - T - sent))
    assert max(errors[300:]) < 0.001


def test_a_gateways_time_is_not_believed_against_a_clock_that_ntp_keeps(
    stamps: ReceptionClock, suspicious: list[tuple[str, float]]
) -> None:
    """Four seconds would move every adapter that is told the time by it."""
    assert stamps.stamp("g", 0, T, T + 4) == (T, "ntp")
    assert suspicious == [("g", 4.0)]


def test_a_clock_that_runs_free_takes_the_gateways_time(clock: ManualClock) -> None:
    assert ReceptionClock(clock, lambda: "free").stamp("g", 0, T, T + 4) == (T + 4, "gps")


@pytest.mark.parametrize("ppm", [-40, 0, 20])
def test_the_counter_at_a_moment_to_come_is_known(stamps: ReceptionClock, ppm: float) -> None:
    assert stamps.counter("g", T) is None
    dice = random.Random(3)
    start = 2**32 - 600_000_000  # wraps on the way
    for number in range(300):
        sent = number * 4.0
        tmst = (start + round(sent * (1e6 + ppm))) % 2**32
        stamps.stamp("g", tmst, T + sent + 0.0002 + dice.expovariate(200.0), None)
    told = stamps.counter("g", T + 1210.0)
    assert told == pytest.approx((start + round(1210.0 * (1e6 + ppm))) % 2**32, abs=1000)
