"""The concentrator's clock under a time source: it follows what fits, doubts what does not, and knows its error."""

import random

import pytest

from concentrator_agent.timesource.discipline import (
    AGREEING,
    FREE_RATE,
    KNOWN_RATE,
    MAX_STEP_S,
    Discipline,
    Outcome,
    Sample,
)
from edge.clock import ManualClock
from edge.steered_clock import SteeredClock
from edge.timesync import EARLIEST_UNIX, LATEST_UNIX

T = 1_767_225_600.0
MIDNIGHT = 1_782_864_000.0  # 2026-07-01


class Site:
    """A host whose clock is wrong, beside the truth: `true` Unix time less monotonic time."""

    def __init__(self, wrong: float = 0.0, start: float = T, crystal: float = 0.0) -> None:
        self.host = ManualClock(start + wrong)
        self.clock = SteeredClock(self.host)
        self.discipline = Discipline(self.clock)
        self.start, self.crystal = start, crystal
        self.leapt = 0.0

    @property
    def true(self) -> float:
        """The host's crystal is fast by `crystal`."""
        return self.start - self.crystal * self.host.monotonic() - self.leapt

    def sample(self, off: float = 0.0, uncertainty: float = 0.002, leap: bool = False) -> Outcome:
        return self.discipline.take(Sample(self.host.monotonic(), self.true + off, uncertainty, leap))

    @property
    def error(self) -> float:
        return self.clock.time() - self.host.monotonic() - self.true


async def test_the_first_answer_sets_the_clock_however_wrong_it_was() -> None:
    site = Site(wrong=-86_400.0)
    assert not site.discipline.synchronised
    assert not site.discipline.ever
    assert site.sample() == "first"
    assert site.error == pytest.approx(0.0, abs=1e-6)
    assert site.discipline.synchronised


@pytest.mark.parametrize("unix", [-1e12, EARLIEST_UNIX - 1, LATEST_UNIX, 9e12, 1e300])
def test_a_time_before_this_program_or_far_behind_it_is_refused(unix: float) -> None:
    site = Site()
    assert site.discipline.take(Sample(0.0, unix, 0.001)) == "refused"
    assert not site.discipline.ever


@pytest.mark.parametrize("crystal", [-80e-6, 0.0, 30e-6])
async def test_a_crystal_is_learnt_and_held_over(crystal: float) -> None:
    site = Site(crystal=crystal)
    noise = random.Random(1)
    for _ in range(60):
        site.sample(off=noise.uniform(-0.001, 0.001))
        await site.host.advance(64)
    assert abs(site.error) < 0.002
    before = site.discipline.uncertainty()
    await site.host.advance(6 * 3600)
    assert abs(site.error) < site.discipline.uncertainty()
    assert site.discipline.uncertainty() - before == pytest.approx(6 * 3600 * KNOWN_RATE, rel=0.01)
    assert site.discipline.synchronised
    await site.host.advance(12 * 3600)
    assert not site.discipline.synchronised, "and says so"


@pytest.mark.parametrize("poll_s", [16, 64, 1024])
async def test_a_crystal_is_learnt_however_often_the_source_is_asked(poll_s: int) -> None:
    site = Site(crystal=40e-6)
    for _ in range(7200 // poll_s):
        site.sample()
        await site.host.advance(poll_s)
    await site.host.advance(3 * 3600)
    assert abs(site.error) < site.discipline.uncertainty() < 0.06


async def test_before_the_rate_is_known_the_error_grows_by_what_a_crystal_may_do() -> None:
    site = Site(crystal=FREE_RATE)
    site.sample()
    await site.host.advance(1000)
    assert abs(site.error) <= site.discipline.uncertainty() == pytest.approx(0.052)


async def test_an_answer_that_came_slowly_weighs_little() -> None:
    site = Site()
    for _ in range(8):
        site.sample(uncertainty=0.001)
        await site.host.advance(16)
    assert site.sample(off=0.2, uncertainty=0.25) == "taken"
    await site.host.advance(100)
    assert abs(site.error) < 0.001


async def test_one_strange_answer_moves_nothing() -> None:
    site = Site()
    for _ in range(4):
        site.sample()
        await site.host.advance(16)
    assert site.sample(off=30.0) == "doubted"
    await site.host.advance(64)
    assert site.sample() == "taken"
    assert abs(site.error) < 0.001


async def test_answers_that_agree_for_a_while_set_the_clock() -> None:
    site = Site()
    site.sample()
    outcomes = []
    for _ in range(AGREEING):
        await site.host.advance(16)
        outcomes.append(site.sample(off=30.0))
    assert outcomes == ["doubted", "doubted", "stepped"]
    assert site.error == pytest.approx(30.0, abs=0.001)


async def test_answers_that_contradict_each_other_set_nothing() -> None:
    site = Site()
    site.sample()
    for number in range(20):
        await site.host.advance(16)
        assert site.sample(off=30.0 + number % 2) == "doubted"
    assert abs(site.error) < 0.001


async def test_three_answers_in_a_row_within_seconds_are_not_enough() -> None:
    site = Site()
    site.sample()
    for _ in range(5):
        await site.host.advance(1)
        assert site.sample(off=30.0) == "doubted"


async def test_a_source_that_is_hours_off_is_never_believed_again() -> None:
    site = Site()
    site.sample()
    for _ in range(10):
        await site.host.advance(64)
        assert site.sample(off=MAX_STEP_S + 1) == "refused"
    assert abs(site.error) < 0.001
    assert site.discipline.last_offset_s == pytest.approx(MAX_STEP_S + 1, abs=0.1)


async def test_a_leap_second_that_was_announced_is_taken_at_once() -> None:
    site = Site(start=MIDNIGHT - 100)
    site.sample(leap=True)
    assert site.discipline.leap_soon
    await site.host.advance(120)
    site.leapt = 1.0
    assert site.sample() == "leap"
    assert site.error == pytest.approx(0.0, abs=1e-6)
    assert not site.discipline.leap_soon


async def test_a_second_back_that_was_not_announced_is_doubted() -> None:
    site = Site(start=MIDNIGHT - 100)
    site.sample()
    await site.host.advance(120)
    site.leapt = 1.0
    assert site.sample() == "doubted"


async def test_a_leap_second_that_was_announced_and_did_not_come_changes_nothing() -> None:
    site = Site(start=MIDNIGHT - 100)
    site.sample(leap=True)
    await site.host.advance(120)
    assert site.sample() == "taken"
    assert abs(site.error) < 0.001


async def test_the_clock_never_jumps_while_it_is_steered() -> None:
    """What follows the clock must not take this for somebody who sets it."""
    site = Site(crystal=50e-6)
    noise = random.Random(2)
    site.sample()
    last = site.clock.time() - site.clock.monotonic()
    for _ in range(50):
        site.sample(off=noise.uniform(-0.05, 0.05), uncertainty=0.05)
        for _ in range(16):
            await site.host.advance(1)
            now = site.clock.time() - site.clock.monotonic()
            assert abs(now - last) < 0.001
            last = now
