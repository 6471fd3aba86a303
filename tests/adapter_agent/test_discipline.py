"""The disciplined clock: what answers make of offset and rate, what it never claims, and what it does not believe."""

from dataclasses import replace
from math import inf, sin, tau
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter_agent.discipline import DAY_S, FIRST_WANDER, LEAST_WANDER, MAX_RATE, TWICE_S, Discipline, Sample, Verdict

BEGIN = 1_767_225_600.0


class Crystal:
    """True seconds to those of a clock that is `rate` fast, and `swing` more or less over the day."""

    def __init__(self, rate: float, swing: float = 0.0) -> None:
        self.rate, self.swing = rate, swing

    def shows(self, true_s: float) -> float:
        return true_s * (1 + self.rate) + self.swing * DAY_S / tau * sin(tau * true_s / DAY_S)

    def sample(self, true_s: float, error_s: float = 0.0, uncertainty_s: float = 0.01, told: bool = False) -> Sample:
        rate = (self.shows(true_s + 1) - self.shows(true_s - 1)) / 2 - 1 if told else None
        return Sample(self.shows(true_s), BEGIN + true_s + error_s, uncertainty_s, rate)


def error(discipline: Discipline, crystal: Crystal, true_s: float) -> float:
    return discipline.unix(crystal.shows(true_s)) - BEGIN - true_s


def test_without_an_answer_there_is_no_time_and_no_certainty():
    discipline = Discipline()
    assert discipline.unix(5.0) is None
    assert discipline.uncertainty(5.0) == inf
    with pytest.raises(ValueError, match="no answer"):
        discipline.monotonic(BEGIN)


def test_one_answer_sets_the_offset_and_the_uncertainty_grows_with_its_age():
    crystal, discipline = Crystal(20e-6), Discipline()
    assert discipline.take(crystal.sample(0.0)) is Verdict.FIRST
    assert discipline.uncertainty(crystal.shows(0)) == pytest.approx(0.01)
    assert discipline.uncertainty(crystal.shows(1000)) == pytest.approx(0.01 + 42e-6 * 1000, rel=1e-3)
    assert error(discipline, crystal, 1000) == pytest.approx(0.02, abs=1e-4)


def test_an_answer_with_the_rate_keeps_it_right_for_a_day():
    crystal, discipline = Crystal(-17.3e-6), Discipline()
    discipline.take(crystal.sample(0.0, told=True))
    assert error(discipline, crystal, DAY_S) == pytest.approx(0.0, abs=1e-6)
    assert discipline.uncertainty(crystal.shows(DAY_S)) == pytest.approx(0.01 + FIRST_WANDER * DAY_S, rel=1e-3)


def test_the_rate_is_measured_over_answers_that_do_not_tell_it():
    crystal, discipline, random = Crystal(20e-6), Discipline(), Random(1)
    for step in range(25):
        discipline.take(crystal.sample(900.0 * step, random.uniform(-0.008, 0.008), 0.008))
    assert discipline.rate == pytest.approx(20e-6, abs=1e-6)
    now = crystal.shows(25 * 900.0)
    assert abs(error(discipline, crystal, 25 * 900.0)) < discipline.uncertainty(now) < 0.02


def test_a_steady_crystal_is_trusted_for_longer_and_a_restless_one_for_less():
    steady, restless = Discipline(), Discipline()
    for step in range(30):
        steady.take(Crystal(5e-6).sample(43_200.0 * step, told=True))
        restless.take(Crystal(5e-6, swing=4e-6).sample(20_000.0 * step, told=True))
    ahead = 43_200.0
    steady_after = steady.uncertainty(Crystal(5e-6).shows(29 * 43_200.0 + ahead))
    restless_after = restless.uncertainty(Crystal(5e-6, swing=4e-6).shows(29 * 20_000.0 + ahead))
    assert steady_after < 0.06 < restless_after


@settings(max_examples=200)
@given(
    st.floats(-20e-6, 20e-6),
    st.floats(0.0, 0.9e-6),
    st.lists(st.tuples(st.floats(10.0, 40_000.0), st.floats(-1.0, 1.0), st.booleans()), min_size=1, max_size=30),
    st.floats(0.0, 40_000.0),
)
def test_it_never_claims_to_be_better_than_it_is(rate, swing, answers, after):
    """As long as the crystal's rate strays by less than the wander it starts from, whatever the answers' errors."""
    crystal, discipline, at = Crystal(rate, swing), Discipline(), 0.0
    for pause, share, told in answers:
        at += pause
        sample = crystal.sample(at, share * 0.01, told=told)
        if len(answers) > 1 and at > pause:
            assert abs(error(discipline, crystal, at)) <= discipline.uncertainty(sample.monotonic_s) + 1e-6
        assert discipline.take(sample) in (Verdict.FIRST, Verdict.TAKEN)
        discipline._wander = FIRST_WANDER  # what it has learnt from a few answers is a bet, and not under test here
    at += after
    assert abs(error(discipline, crystal, at)) <= discipline.uncertainty(crystal.shows(at)) + 1e-6


def test_what_no_crystal_can_do_is_doubted_and_ends_trust_until_it_is_told_twice():
    crystal, discipline = Crystal(10e-6), Discipline()
    discipline.take(crystal.sample(0.0))
    assert discipline.take(crystal.sample(1000.0, error_s=3600.0)) is Verdict.DOUBTED
    assert discipline.doubtful
    assert discipline.uncertainty(crystal.shows(1000.0)) == inf
    assert abs(error(discipline, crystal, 1000.0)) < 0.1, "the clock itself runs on"
    assert discipline.take(crystal.sample(1000.0 + TWICE_S / 2, error_s=3600.0)) is Verdict.DOUBTED, "too soon"
    assert discipline.take(crystal.sample(1001.0 + TWICE_S, error_s=3600.0)) is Verdict.STEPPED
    assert error(discipline, crystal, 2000.0) == pytest.approx(3600.0, abs=0.1)
    assert discipline.uncertainty(crystal.shows(1001.0 + TWICE_S)) == pytest.approx(0.01)


@pytest.mark.parametrize("rate", [1.1 * MAX_RATE, -8.388e-3])
def test_a_rate_that_no_crystal_has_is_not_taken_over_not_even_with_a_step(rate):
    discipline = Discipline()
    discipline.take(Sample(0.0, BEGIN, 0.01, 5e-6))
    for at in (1000.0, 1001.0 + TWICE_S):
        verdict = discipline.take(Sample(at, BEGIN + 3600.0 + at, 0.01, rate))
    assert (verdict, discipline.rate) == (Verdict.STEPPED, 5e-6)


def test_answers_that_contradict_each_other_never_count():
    crystal, discipline = Crystal(0.0), Discipline()
    discipline.take(crystal.sample(0.0))
    for number, jump in enumerate((3600.0, -50.0, 1e6, 7.0)):
        assert discipline.take(crystal.sample(100.0 * (number + 1), error_s=jump)) is Verdict.DOUBTED
    assert discipline.take(crystal.sample(500.0)) is Verdict.TAKEN
    assert not discipline.doubtful


def test_the_furthest_that_physics_allows_is_taken_and_a_little_more_is_not():
    for over, verdict in ((0.99, Verdict.TAKEN), (1.01, Verdict.DOUBTED)):
        discipline = Discipline()
        discipline.take(Sample(0.0, BEGIN, 0.0))
        assert discipline.take(Sample(1000.0, BEGIN + 1000.0 + over * 2 * MAX_RATE * 1000.0, 0.0)) is verdict


def test_an_answer_about_an_earlier_uplink_changes_nothing():
    crystal, discipline = Crystal(10e-6), Discipline()
    discipline.take(crystal.sample(1000.0))
    before = discipline.unix(5000.0)
    assert discipline.take(crystal.sample(900.0, error_s=0.005)) is Verdict.OLD
    assert discipline.unix(5000.0) == before


def test_a_worse_answer_does_not_spoil_a_better_clock():
    crystal, discipline = Crystal(0.0), Discipline()
    discipline.take(crystal.sample(0.0, uncertainty_s=0.001, told=True))
    assert discipline.take(crystal.sample(100.0, error_s=0.4, uncertainty_s=0.5)) is Verdict.TAKEN
    assert abs(error(discipline, crystal, 100.0)) < 0.001
    assert discipline.uncertainty(100.0) < 0.002


@pytest.mark.parametrize("second", [0.0, 1.0, -1.0])
def test_slots_go_on_evenly_through_a_leap_second_and_a_network_that_counts_otherwise_is_believed(second):
    crystal, discipline = Crystal(0.0), Discipline()
    discipline.take(crystal.sample(80_000.0, told=True), leap_soon=True)
    assert discipline.uncertainty(DAY_S + 1.0) < 0.05
    verdict = discipline.take(crystal.sample(DAY_S + 100.0, error_s=second))
    assert verdict is (Verdict.STEPPED if second else Verdict.TAKEN)
    assert discipline.uncertainty(DAY_S + 101.0) < 0.05
    assert error(discipline, crystal, DAY_S + 200.0) == pytest.approx(second, abs=0.01)


def test_a_second_more_on_any_other_day_is_doubted():
    crystal, discipline = Crystal(0.0), Discipline()
    discipline.take(crystal.sample(0.0), leap_soon=True)
    assert discipline.take(crystal.sample(100.0, error_s=1.0)) is Verdict.DOUBTED, "before midnight"
    plain = Discipline()
    plain.take(crystal.sample(80_000.0))
    assert plain.take(crystal.sample(DAY_S + 1.0, error_s=3.0)) is Verdict.DOUBTED


def test_a_restart_without_loss_of_power_goes_on_where_it_was():
    crystal, discipline = Crystal(12e-6), Discipline()
    discipline.take(crystal.sample(0.0, told=True))
    held = discipline.held("boot", 50.0, crystal.shows(100.0))
    assert held.runs_on("boot", 150.0, crystal.shows(200.0))
    again = Discipline(held, runs_on=True)
    for true_s in (200.0, 9000.0):
        assert error(again, crystal, true_s) == pytest.approx(error(discipline, crystal, true_s), abs=1e-6)
        assert again.uncertainty(crystal.shows(true_s)) >= discipline.uncertainty(crystal.shows(true_s)) - 1e-9


def test_after_a_loss_of_power_only_the_rate_is_known():
    crystal, discipline = Crystal(12e-6), Discipline()
    discipline.take(crystal.sample(0.0, told=True))
    again = Discipline(discipline.held("boot", 50.0, 100.0), runs_on=False)
    assert again.unix(3.0) is None
    assert again.uncertainty(3.0) == inf
    again.take(Sample(3.0, BEGIN + 500.0, 0.01))
    assert again.rate == pytest.approx(12e-6)
    assert again.uncertainty(1003.0) < 0.015


@pytest.mark.parametrize(
    ("boot", "wall_s", "monotonic_s"),
    [("other", 150.0, 200.0), ("", 150.0, 200.0), ("boot", 150.0, 99.0), ("boot", 9000.0, 200.0)],
)
def test_another_start_a_clock_that_went_back_or_slept_is_no_continuation(boot, wall_s, monotonic_s):
    discipline = Discipline()
    discipline.take(Sample(0.0, BEGIN, 0.01))
    held = discipline.held("boot", 50.0, 100.0)
    assert not held.runs_on(boot, wall_s, monotonic_s)
    assert held.runs_on("boot", 150.0, 200.0)


def test_a_clock_in_doubt_is_not_stored():
    discipline = Discipline()
    discipline.take(Sample(0.0, BEGIN, 0.01))
    discipline.take(Sample(100.0, BEGIN + 5000.0, 0.01))
    assert discipline.held("boot", 0.0, 200.0) is None


def test_a_hint_sets_no_clock_and_none_that_is_in_doubt():
    crystal, discipline = Crystal(0.0), Discipline()
    assert not discipline.hint(crystal.sample(10.0))
    assert discipline.unix(10.0) is None
    discipline.take(crystal.sample(10.0))
    discipline.take(crystal.sample(20.0, 3600.0))
    assert discipline.doubtful
    assert not discipline.hint(crystal.sample(30.0))
    assert discipline.uncertainty(30.0) == inf


def test_hints_keep_a_clock_for_weeks_that_no_answer_has_corrected():
    crystal, discipline, random = Crystal(18e-6, 1e-6), Discipline(), Random(4)
    for step in range(12):
        discipline.take(crystal.sample(900.0 * step, random.uniform(-0.004, 0.004), 0.004))
    for step in range(180, 14 * 1440):
        assert discipline.hint(crystal.sample(60.0 * step, random.uniform(-0.003, 0.003), 0.004)), step
        assert abs(error(discipline, crystal, 60.0 * step + 59)) < 0.006
    assert discipline.uncertainty(crystal.shows(60.0 * step + 60)) < 0.010
    assert discipline.unvouched(crystal.shows(60.0 * step)) > 0.3, "but it knows that nobody has vouched for that"
    discipline.take(crystal.sample(60.0 * step + 1, 0.0, 0.004))
    assert discipline.unvouched(crystal.shows(60.0 * step + 1)) <= 0.01


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(1.0, 900.0), st.floats(-1.0, 1.0), st.floats(0.001, 0.3)), max_size=120))
def test_no_row_of_forged_hints_moves_a_clock_further_than_it_may_be_wrong_anyway(forged):
    crystal, discipline, honest = Crystal(12e-6), Discipline(), Discipline()
    for clock in (discipline, honest):
        clock.take(crystal.sample(0.0, told=True))
    at = 0.0
    for passed, wrong_s, claimed_s in forged:
        at += passed
        discipline.hint(Sample(crystal.shows(at), BEGIN + at + wrong_s, claimed_s))
        moved = abs(discipline.unix(crystal.shows(at)) - honest.unix(crystal.shows(at)))
        assert moved <= honest.uncertainty(crystal.shows(at)) + 1e-6


def test_an_answer_after_forged_hints_puts_the_clock_right_at_once():
    crystal, discipline = Crystal(5e-6), Discipline()
    discipline.take(crystal.sample(0.0, told=True))
    for step in range(1, 600):
        discipline.hint(crystal.sample(60.0 * step, 60.0 * step * 1.5e-6, 0.002))  # drags as fast as it can
    dragged = error(discipline, crystal, 36_000)
    assert 0.01 < dragged < 0.1
    assert discipline.take(crystal.sample(36_060.0, 0.0, 0.005, told=True)) is Verdict.TAKEN
    assert abs(error(discipline, crystal, 36_060.0)) <= 0.005


def test_a_hint_beyond_what_the_clock_may_be_wrong_by_calls_for_an_answer_and_claims_no_certainty():
    crystal, discipline = Crystal(0.0), Discipline()
    discipline.take(Sample(0.0, BEGIN, 0.005, 8e-6))  # told a rate that is wrong by 8 ppm
    for step in range(1, 60):
        discipline.hint(crystal.sample(300.0 * step, 0.0, 0.004))
        assert abs(error(discipline, crystal, 300.0 * step)) <= discipline.uncertainty(300.0 * step) + 0.05
        if discipline.strained:
            break
    assert step < 20, "within an hour or so"
    assert abs(error(discipline, crystal, 300.0 * step)) < 0.03
    assert discipline.uncertainty(300.0 * step) >= abs(error(discipline, crystal, 300.0 * step))
    assert discipline.take(crystal.sample(300.0 * step + 60, 0.0, 0.005)) is Verdict.TAKEN
    assert not discipline.strained


def test_a_rate_that_the_network_forecasts_wrongly_is_not_taken_for_exact():
    crystal, discipline = Crystal(-3e-6), Discipline()
    discipline.take(crystal.sample(0.0, 0.0, 0.005))
    discipline.take(Sample(crystal.shows(600), BEGIN + 600, 0.005, 2.76e-6))
    for hour in range(1, 9):
        at = 600 + 3600.0 * hour
        assert abs(error(discipline, crystal, at)) <= discipline.uncertainty(crystal.shows(at))


def foretelling(crystal: Crystal, true_s: float, holds_s: float, drift: float, rate: float | None = None) -> Sample:
    heard = crystal.sample(true_s, told=True)
    return replace(heard, rate=heard.rate if rate is None else rate, holds_s=holds_s, drift=drift)


def test_a_forecast_is_what_the_clock_goes_by_for_its_time_and_twice_as_doubtful_afterwards():
    crystal, discipline = Crystal(5e-6), Discipline()
    discipline.take(crystal.sample(0.0, told=True))
    discipline.take(foretelling(crystal, DAY_S + 60, holds_s=20_000.0, drift=2e-6))
    now = crystal.shows(DAY_S + 60)
    assert discipline.foretold(now + 19_999)
    assert not discipline.foretold(now + 20_001)
    assert discipline.uncertainty(now + 10_000) == pytest.approx(0.01 + 0.02)
    assert discipline.uncertainty(now + 20_000) == pytest.approx(0.01 + 0.04)
    assert discipline.uncertainty(now + 30_000) >= 0.01 + 0.04 + 0.04


def test_on_the_first_day_a_forecast_does_not_make_it_surer_than_it_is_by_itself():
    crystal, discipline = Crystal(5e-6), Discipline()
    discipline.take(crystal.sample(0.0, told=True))
    discipline.take(foretelling(crystal, DAY_S - 60, holds_s=80_000.0, drift=1e-7))
    now = crystal.shows(DAY_S - 60)
    assert discipline.foretold(now + 10_000)
    assert discipline.uncertainty(now + 10_000) >= 0.01 + FIRST_WANDER * 10_000


def test_no_forecast_is_believed_for_more_than_a_day_or_of_a_better_crystal_than_there_is():
    crystal, discipline = Crystal(5e-6), Discipline()
    discipline.take(crystal.sample(0.0, told=True))
    discipline.take(foretelling(crystal, 2 * DAY_S, holds_s=255 * 900.0, drift=0.0))
    now = crystal.shows(2 * DAY_S)
    assert discipline.uncertainty(now + DAY_S) == pytest.approx(0.01 + LEAST_WANDER * DAY_S)
    assert discipline.foretold(now + DAY_S - 1)
    assert not discipline.foretold(now + DAY_S + 1)


def test_the_next_answer_or_hint_ends_a_forecast():
    crystal = Crystal(5e-6)
    for later in (lambda one: one.take(crystal.sample(7200.0)), lambda one: one.hint(crystal.sample(7200.0))):
        discipline = Discipline()
        discipline.take(crystal.sample(0.0, told=True))
        discipline.take(foretelling(crystal, 3600.0, holds_s=80_000.0, drift=1e-6))
        later(discipline)
        assert not discipline.foretold(crystal.shows(7300.0))


def test_a_forecast_of_a_rate_that_the_last_hours_exclude_is_not_believed():
    crystal, discipline = Crystal(5e-6), Discipline()
    for step in range(8):
        discipline.take(crystal.sample(3600.0 * step, told=True))
    discipline.take(foretelling(crystal, 8 * 3600.0, holds_s=80_000.0, drift=1e-7, rate=90e-6))
    now = crystal.shows(8 * 3600.0)
    assert not discipline.foretold(now + 1)
    assert discipline.uncertainty(now + 1000) > 0.06, "nor is the own rate: one of them must be wrong"
    assert abs(discipline.rate - 5e-6) < 30e-6


def test_a_forecast_does_not_outlive_a_restart():
    crystal, discipline = Crystal(5e-6), Discipline()
    discipline.take(crystal.sample(0.0, told=True))
    discipline.take(foretelling(crystal, 3600.0, holds_s=80_000.0, drift=1e-7))
    now = crystal.shows(3700.0)
    again = Discipline(discipline.held("a", BEGIN + 3700, now), runs_on=True)
    assert again.unix(now) == pytest.approx(discipline.unix(now), abs=1e-6)
    assert not again.foretold(now + 10)
    assert again.uncertainty(now + 10_000) > discipline.uncertainty(now + 10_000)
