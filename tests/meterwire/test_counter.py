"""The counter never gives a value twice, whatever happens between the store and the radio."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.counter import LIMIT, Counter
from meterwire.errors import CounterExhausted, ValueOutOfRange


class Store:
    """A counter store in memory that can be full."""

    def __init__(self, first: int = 0) -> None:
        self.bound, self.saves, self.full = first, 0, False

    def load(self) -> int:
        return self.bound

    def save(self, reserved_up_to: int) -> None:
        if self.full:
            raise OSError("disk full")
        self.bound, self.saves = reserved_up_to, self.saves + 1


def test_values_run_on_and_the_bound_is_stored_before_the_first_of_a_block() -> None:
    store = Store(5)
    counter = Counter(store, block=4)
    assert store.saves == 0
    assert [(counter.next(), store.bound) for _ in range(6)] == [(5, 9), (6, 9), (7, 9), (8, 9), (9, 13), (10, 13)]
    assert counter.upcoming == 11


@given(st.lists(st.integers(0, 200), max_size=20), st.integers(1, 70))
def test_no_value_repeats_over_restarts(uses: list[int], block: int) -> None:
    store, seen = Store(), []
    for count in uses:
        counter = Counter(store, block)
        seen += [counter.next() for _ in range(count)]
    assert seen == sorted(set(seen))


def test_a_store_that_fails_uses_no_value() -> None:
    store = Store()
    counter = Counter(store, block=2)
    store.full = True
    with pytest.raises(OSError, match="disk full"):
        counter.next()
    store.full = False
    assert counter.next() == 0


def test_the_last_value_is_handed_out_and_then_none() -> None:
    store = Store(LIMIT - 2)
    counter = Counter(store)
    assert [counter.next(), counter.next()] == [LIMIT - 2, LIMIT - 1]
    for again in (counter, Counter(store)):
        with pytest.raises(CounterExhausted):
            again.next()


@pytest.mark.parametrize("stored", [-1, LIMIT + 1])
def test_a_stored_value_that_cannot_be_is_refused(stored: int) -> None:
    with pytest.raises(ValueOutOfRange):
        Counter(Store(stored))


def test_a_block_holds_at_least_one_value() -> None:
    with pytest.raises(ValueOutOfRange):
        Counter(Store(), block=0)
