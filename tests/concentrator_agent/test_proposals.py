"""Data rates that are proposed, not ordered."""

import pytest

from concentrator_agent.server.proposals import FEWEST, propose
from meterwire.lorawan.region import EU868


@pytest.mark.parametrize(
    ("data_rate", "snr", "proposed"),
    [
        (5, 10.0, None),  # already the fastest
        (5, -1.0, None),  # 6.5 dB over SF7's -7.5
        (5, -3.5, 4),  # 4 dB only
        (0, 10.0, 5),
        (0, 1.0, 3),  # SF9 needs -12.5, and 13 dB more
        (0, -19.0, None),  # nothing is slower
        (3, -2.0, None),
    ],
)
def test_a_rate_follows_from_what_is_heard(data_rate: int, snr: float, proposed: int | None) -> None:
    found = propose(EU868, data_rate, [snr] * FEWEST)
    assert (found[0] if found else None) == proposed


def test_few_frames_prove_nothing() -> None:
    assert propose(EU868, 0, [10.0] * (FEWEST - 1)) is None


def test_a_bad_hour_of_fading_does_not_slow_a_device_down() -> None:
    assert propose(EU868, 5, [-6.0] * 4 + [0.0] * 17) is None
    assert propose(EU868, 5, [-6.0] * 8 + [0.0] * 13) == (4, 1.5)


def test_the_margin_is_that_of_the_present_rate() -> None:
    assert propose(EU868, 0, [0.0] * FEWEST) == (2, 20.0)
