"""When most devices contradict, it is the own clock."""

from concentrator_agent.server.disagreement import FEWEST, WITHIN_S, Disagreement


def test_a_few_strange_devices_among_many_prove_nothing() -> None:
    crowd = Disagreement()
    assert not any(crowd.note(float(n), fits=n % 3 != 0) for n in range(60))


def test_nearly_all_of_them_prove_it_and_time_heals_it() -> None:
    crowd = Disagreement()
    said = [crowd.note(float(n), fits=False) for n in range(FEWEST)]
    assert said == [False] * (FEWEST - 1) + [True]
    assert not crowd.note(FEWEST + WITHIN_S, fits=True)


def test_a_clock_that_was_set_back_begins_anew() -> None:
    crowd = Disagreement()
    for n in range(FEWEST):
        crowd.note(10 * WITHIN_S + n, fits=False)
    assert not crowd.note(0.0, fits=False)
