"""How long an adapter believes in a network that does not answer."""

import pytest

from adapter_agent.radio.silence import DOUBTFUL_TRIES, SILENCE_CHECK, SILENCE_REJOIN, Silence


def unanswered(silence: Silence, sent: int | None = None) -> int:
    """One confirmed uplink without an answer; how often it was sent."""
    tries = silence.tries if sent is None else sent
    silence.count(heard=False, unanswered=tries)
    return tries


def test_a_network_that_may_be_overwhelmed_is_asked_half_as_often_each_time():
    silence = Silence(4, 1000)
    assert [unanswered(silence) for _ in range(5)] == [4, 2, 1, 1, 1]
    assert not silence.lost
    silence.over()
    assert silence.tries == 4


@pytest.mark.parametrize("tries", [1, 2, 4, 15])
@pytest.mark.parametrize("rejoin_after", [1, 3, 8])
def test_it_is_lost_after_so_many_unanswered_uplinks_that_were_repeated_in_full(tries, rejoin_after):
    silence = Silence(tries, rejoin_after)
    for _ in range(rejoin_after - 1):
        unanswered(silence)
        assert not silence.lost
    unanswered(silence)
    assert silence.lost
    silence.over()
    assert not silence.lost
    assert not silence.uncertain


def test_uplinks_that_could_not_be_repeated_count_for_less():
    silence = Silence(4, 3)
    for _ in range(4 + 2 + 1 - 1):
        unanswered(silence, sent=1)
        assert not silence.lost
    unanswered(silence, sent=1)
    assert silence.lost


def test_while_somebody_waits_one_unanswered_uplink_is_enough_until_the_network_is_heard():
    silence = Silence(4, 3)
    silence.doubtful = True
    assert unanswered(silence) == DOUBTFUL_TRIES
    assert silence.lost
    silence.over()
    assert (silence.tries, silence.doubtful) == (4, False)


def test_uplinks_that_ask_for_nothing_ask_for_a_sign_of_life_after_a_while_and_give_up_later():
    silence = Silence(4, 3)
    for number in range(1, SILENCE_REJOIN + 1):
        silence.count(heard=False, unanswered=0)
        assert silence.wants_sign is (number >= SILENCE_CHECK)
        assert silence.lost is (number >= SILENCE_REJOIN)
    assert not silence.uncertain
