"""The filter against crystals that are known: constant, wandering, swinging, with outliers and lost answers."""

import math
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterwire.clock_filter import DAY_S, OUTLIERS, ClockFilter, phase_error

PERIOD = 900.0
T = 1_767_225_600.0


def fed(ppm: float, frames: int, *, stamp: float = 0.0, seed: int = 1, start: float = 0.0) -> ClockFilter:
    """A track of a crystal of constant `ppm` after so many frames."""
    dice = random.Random(seed)
    track = ClockFilter.start(T, start + dice.gauss(0, stamp))
    for number in range(1, frames):
        track.measure(T + number * PERIOD, start + ppm * 1e-6 * number * PERIOD + dice.gauss(0, stamp))
    return track


@pytest.mark.parametrize("ppm", [-100.0, -20.0, 0.0, 3.0, 100.0])
def test_a_constant_rate_is_found_and_foretold(ppm: float) -> None:
    track = fed(ppm, 97, stamp=0.001)
    then = track.estimate(T + 97 * PERIOD)
    assert track.settled
    assert then.rate * 1e6 == pytest.approx(ppm, abs=0.5)
    assert then.offset == pytest.approx(ppm * 1e-6 * 97 * PERIOD, abs=0.003)


def test_two_frames_settle_nothing() -> None:
    assert not fed(5.0, 2).settled
    assert fed(5.0, 3).settled


def test_an_outlier_is_left_out_and_the_next_frame_goes_on() -> None:
    track = fed(10.0, 50, stamp=0.001)
    before = track.estimate(T + 51 * PERIOD).offset
    assert not track.measure(T + 50 * PERIOD, 0.9)
    assert not track.settled
    assert track.estimate(T + 51 * PERIOD).offset == before
    assert track.measure(T + 51 * PERIOD, 10e-6 * 51 * PERIOD)
    assert track.settled


def test_strange_frames_that_agree_begin_a_new_track_and_scattered_ones_do_not() -> None:
    """A clock that was set back half a second is followed; a device that sends when it likes is not."""
    track = fed(10.0, 50, stamp=0.001)
    taken = [track.measure(T + (50 + n) * PERIOD, -0.5 + 0.009 * n) for n in range(OUTLIERS)]
    assert taken == [False] * (OUTLIERS - 1) + [True]
    assert track.estimate(track.at).offset == pytest.approx(-0.5 + 0.009 * (OUTLIERS - 1), abs=0.001)
    jittering = fed(10.0, 50, stamp=0.001)
    dice = random.Random(4)
    assert not any(jittering.measure(T + (50 + n) * PERIOD, dice.uniform(1, 5)) for n in range(20))


def test_an_answer_that_arrived_is_known_by_the_next_frame() -> None:
    track = fed(10.0, 97, stamp=0.0005)
    told = track.estimate(track.at)
    track.answer(told.offset, told.rate)
    assert track.measure(track.at + PERIOD, 0.0002)
    assert track.other is None or track.odds > 0
    assert abs(track.estimate(track.at).offset) < 0.002
    assert (track.answered, track.lost) == (1, 0)


def test_an_answer_that_was_lost_is_known_by_the_next_frame() -> None:
    track = fed(10.0, 97, stamp=0.0005)
    told = track.estimate(track.at)
    track.answer(told.offset, told.rate)
    real = 10e-6 * 97 * PERIOD
    assert track.measure(T + 97 * PERIOD, real)
    assert track.other is None
    assert track.estimate(track.at).offset == pytest.approx(real, abs=0.002)
    assert track.estimate(track.at).rate * 1e6 == pytest.approx(10.0, abs=0.5)
    assert (track.answered, track.lost) == (1, 1)


def test_an_answer_that_was_never_sent_leaves_no_trace() -> None:
    track = fed(10.0, 97, stamp=0.0005)
    before = list(track.x)
    track.answer(0.25, 3e-6)
    track.unanswered()
    assert track.x == pytest.approx(before)
    assert track.answered == 0


def test_who_asks_again_though_an_answer_would_do_has_not_got_it() -> None:
    track = fed(10.0, 97, stamp=0.0005)
    before, told = list(track.x), track.estimate(track.at)
    track.answer(told.offset, told.rate, content=track.at + 1000)
    track.reach(track.at + 300)
    track.asked(track.at)
    assert track.x[:2] == pytest.approx([before[0] + 300 * told.rate, before[1]], abs=1e-5)
    assert (track.other, track.lost) == (None, 1)


def test_who_asks_again_later_or_after_a_frame_may_have_got_it_and_both_are_within_the_bound() -> None:
    for frame, later in ((False, 1000), (True, 300)):
        track = fed(10.0, 97, stamp=0.0005)
        told = track.estimate(track.at)
        alone = track.bound(track.at + PERIOD)
        assert alone == track.estimate(track.at + PERIOD).bound
        track.answer(0.01, told.rate, content=track.at + 900)
        if frame:
            track.measure(track.at + 100, told.offset - 0.005)  # right in the middle
        track.reach(track.at + later)
        track.asked(track.at)
        assert track.other is not None
        assert track.lost == 0
        if not frame:
            assert track.bound(track.at) >= 0.01 + track.estimate(track.at).bound


def test_a_track_survives_a_restart() -> None:
    track = fed(-7.0, 40, stamp=0.001)
    track.answer(0.02, -7e-6)
    back = ClockFilter.from_bytes(track.to_bytes())
    assert back == track
    with pytest.raises(msgspec.DecodeError):
        ClockFilter.from_bytes(msgspec.msgpack.encode([0.0, [1.0], [[1.0]]]))


def test_our_own_clock_set_by_a_minute_moves_the_expectation() -> None:
    track = fed(0.0, 20)
    track.shift(60.0)
    assert track.measure(T + 60 + 20 * PERIOD, -60.0)


def test_a_daily_swing_is_learnt() -> None:
    """±2 ppm over the day: after a week the rate of the day's rest is foretold better than by its mean."""
    rate, offset = 2e-6, 0.0
    track = ClockFilter.start(T, 0.0)
    for number in range(1, 7 * 96):
        at = T + number * PERIOD
        offset += rate * math.sin(math.tau * at / DAY_S) * PERIOD
        track.measure(at, offset)
    now = track.at
    ahead = 6 * 3600.0
    mean = rate * (math.cos(math.tau * now / DAY_S) - math.cos(math.tau * (now + ahead) / DAY_S)) * DAY_S / math.tau
    assert track.mean_rate(now, ahead) == pytest.approx(mean / ahead, abs=0.35e-6)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    ppm=st.floats(-60, 60),
    swing=st.floats(0, 3),
    wander=st.floats(0, 2),
    ahead=st.sampled_from([1, 4, 24, 96]),
)
def test_the_bound_is_never_far_too_small(seed: int, ppm: float, swing: float, wander: float, ahead: int) -> None:
    """Whatever the crystal does within a house, the foretold bound is exceeded by less than half of itself and 2 ms."""
    dice = random.Random(seed)
    drift, offset, expected = ppm * 1e-6, 0.0, {}
    track = ClockFilter.start(T, 0.0)
    for number in range(1, 6 * 96):
        at = T + number * PERIOD
        drift += dice.gauss(0, wander * 1e-6 / math.sqrt(96))
        offset += (drift + swing * 1e-6 * math.sin(math.tau * at / DAY_S)) * PERIOD
        track.measure(at, offset + dice.gauss(0, 0.001))
        if number in expected:
            told = expected.pop(number)
            assert abs(offset - told.offset) <= 1.5 * told.bound + 0.002
        if number >= 2 * 96:
            expected[number + ahead] = track.estimate(at + ahead * PERIOD)


@pytest.mark.parametrize(
    ("start", "planned", "ahead"),
    [(100.0, 100.25, 0.25), (1000.25, 100.0, -0.25), (99.0, 1000.0 - 900.0, 1.0), (T + 449, T, -449.0)],
)
def test_the_nearest_occurrence_counts(start: float, planned: float, ahead: float) -> None:
    assert phase_error(start, planned, 900.0) == pytest.approx(ahead)
