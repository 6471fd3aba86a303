"""Slot lengths are the airtimes published for EU868, guards added, in whole quanta."""

import pytest

from meterwire.errors import ValueOutOfRange
from meterwire.slots import QUANTA_MS, Kind, airtime_ms, length_ms


@pytest.mark.parametrize(
    ("size", "data_rate", "published_ms"),
    [(16, 5, 66.8), (16, 3, 226.3), (16, 0, 1647), (20, 4, 133.6), (51, 5, 118.0), (51, 2, 698.4), (51, 0, 2794)],
)
def test_airtimes_are_the_published_ones(size: int, data_rate: int, published_ms: float) -> None:
    assert airtime_ms(size, data_rate) == pytest.approx(published_ms, rel=1e-3)


@pytest.mark.parametrize("quantum", QUANTA_MS)
@pytest.mark.parametrize("kind", Kind)
def test_a_slot_is_the_shortest_number_of_quanta_that_holds_telegram_and_guards(kind: Kind, quantum: int) -> None:
    for data_rate in range(6):
        length = length_ms(kind.size, data_rate, 20, quantum)
        needed = airtime_ms(kind.size, data_rate) + 40
        assert length % quantum == 0
        assert needed <= length < needed + quantum


def test_the_common_slot_of_a_meter_takes_108_ms() -> None:
    assert length_ms(Kind.VALUES, 5, 20) == 108


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ((16, 6, 20, 2), "data rates 0 to 5, not 6"),
        ((16, -1, 20, 2), "data rates 0 to 5, not -1"),
        ((52, 0, 20, 2), "carries 0 to 51 bytes in a telegram, not 52"),
        ((-1, 0, 20, 2), "not -1"),
        ((16, 5, -1, 2), "0 to 2000 ms, not -1"),
        ((16, 5, 2001, 2), "0 to 2000 ms, not 2001"),
        ((16, 5, 20, 7), "one of 2, 3, 4, 5, 6, 8, 10 ms, not 7"),
        ((16, 5, 20, 1), "ms, not 1"),
    ],
)
def test_what_is_outside_the_plan_is_refused_with_the_bound(arguments: tuple[int, int, int, int], cause: str) -> None:
    with pytest.raises(ValueOutOfRange, match=cause):
        length_ms(*arguments)
