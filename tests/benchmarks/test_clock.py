"""The clock benchmark on a few adapters: its goals hold there too, and its crystals are the reference's."""

import random
import statistics

import pytest

from benchmarks.clock import ONE, PLACES, TWO, measure, rates


@pytest.mark.parametrize("where", ["basement", "stairwell"])
def test_indoors_two_answers_a_day_keep_60_ms(where: str) -> None:
    error, answers = measure(PLACES[where], TWO, adapters=8, days=8)
    assert error < 60
    assert answers <= 2.0


@pytest.mark.parametrize("where", ["basement", "stairwell"])
def test_indoors_one_answer_a_day_keeps_300_ms(where: str) -> None:
    error, answers = measure(PLACES[where], ONE, adapters=8, days=8)
    assert error < 300
    assert answers <= 1.0


def test_a_crystal_is_at_most_20_ppm_off_where_it_turns_and_slower_elsewhere() -> None:
    """In a stairwell of 18 °C on the average: -0.034 * (49 + 8 + 4) = -2.1 ppm beside the crystal's own."""
    means = [statistics.fmean(rates(PLACES["stairwell"], 20, random.Random(seed))) * 1e6 for seed in range(200)]
    assert statistics.fmean(means) == pytest.approx(-2.1, abs=2.5)
    assert -26 < min(means) < -15
    assert 13 < max(means) < 20
