"""Telegrams are sealed under a valid key, with a counter that was saved first, in as few pieces as fit."""

import pytest

from adapter_agent.config import Sealing as Config
from adapter_agent.dates import Dates
from adapter_agent.sampler import Sample
from adapter_agent.sealing import Sealing
from edge.clock import ManualClock
from meterwire.counter import BLOCK, Counter
from meterwire.keymemory import KeyEntry, KeyMemory
from meterwire.registers import AGE, register_number
from meterwire.seal import InnerKey, Mode, Value, parse_values
from tests.adapter_agent.cast import BEGIN, DEV_EUI, INNER_KEY, opened
from tests.adapter_agent.radio.network import Memory


class Store:
    """A counter store that remembers every save."""

    def __init__(self, value: int = 0) -> None:
        self.value = value
        self.saved: list[int] = []

    def load(self) -> int:
        return self.value

    def save(self, reserved_up_to: int) -> None:
        self.value = reserved_up_to
        self.saved.append(reserved_up_to)


def key(
    slot: int = 1, not_before: float = BEGIN - 1, not_after: float = BEGIN + 1000, octets: bytes = INNER_KEY
) -> KeyEntry:
    return KeyEntry(slot, InnerKey(octets), "inner", "portal", not_before, not_after)


def sealing(
    *keys: KeyEntry, store: Store | None = None, clock: ManualClock | None = None, trusted: bool = True, **config
) -> Sealing:
    dates = Dates(clock or ManualClock(), Memory(), trusted=trusted)
    return Sealing(DEV_EUI, KeyMemory(*(keys or (key(),))), Counter(store or Store()), dates, Config(**config))


def sample(*values: tuple[int, int], age_s: float = 0.0, input_: int = 0) -> Sample:
    return Sample(input_, age_s, tuple(Value(register_number(index, input_), value) for index, value in values))


USUAL = [sample((1, 56841020), (2, 3197930))]


def test_the_vector_of_the_design_comes_out():
    vector = sealing(key(octets=bytes(range(16))), store=Store(0x0001267F))
    [telegram] = vector.seal(USUAL, 51)
    assert telegram.payload.hex() == "11267f619cc262b842d3e97ed2d1c10f"
    assert telegram.counter == 0x0001267F


def test_the_counter_is_on_disk_before_the_telegram_exists_and_never_repeats():
    store = Store()
    first = sealing(store=store)
    counters = [telegram.counter for _ in range(3) for telegram in first.seal(USUAL, 51)]
    assert counters == [0, 1, 2]
    assert store.saved == [BLOCK]
    [telegram] = sealing(store=store).seal(USUAL, 51)
    assert telegram.counter == BLOCK


def test_a_counter_that_cannot_be_saved_lets_nothing_leave():
    class Full(Store):
        def save(self, reserved_up_to: int) -> None:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        sealing(store=Full()).seal(USUAL, 51)


@pytest.mark.parametrize(
    ("entry", "trusted"),
    [(key(not_before=BEGIN + 10), True), (key(not_after=BEGIN - 0.5), True), (key(), False)],
)
def test_without_a_valid_key_there_is_no_telegram_and_one_alarm(entry, trusted, caplog):
    store = Store()
    refused = sealing(entry, store=store, trusted=trusted)
    assert refused.seal(USUAL, 51) == []
    assert refused.seal(USUAL, 51) == []
    assert [record.alarm for record in caplog.records] == ["no_valid_key"]
    assert store.saved == []


async def test_keys_change_over_by_their_validity():
    clock = ManualClock()
    following = sealing(key(1, not_after=BEGIN + 100), key(2, not_before=BEGIN + 90, octets=bytes(16)), clock=clock)
    slots = []
    for _ in range(12):
        [telegram] = following.seal(USUAL, 51)
        slots.append(parse_values(telegram.payload).key_slot)
        await clock.advance(10)
    assert slots == [1] * 10 + [2] * 2


def test_an_old_reading_tells_its_age():
    [telegram] = sealing().seal([sample((1, 5), age_s=17.4)], 51)
    assert opened(telegram.payload, telegram.counter) == {1: 5, AGE: 17}
    [telegram] = sealing().seal([sample((1, 5), age_s=1.9)], 51)
    assert opened(telegram.payload, telegram.counter) == {1: 5}


def test_inputs_share_a_telegram_and_each_tells_its_own_age():
    samples = [sample((1, 5), age_s=3), sample((1, 6), age_s=9, input_=2)]
    [telegram] = sealing().seal(samples, 51)
    assert opened(telegram.payload, telegram.counter) == {
        1: 5,
        AGE: 3,
        register_number(1, 2): 6,
        register_number(AGE, 2): 9,
    }


def test_what_does_not_fit_into_one_telegram_goes_into_more_each_complete_in_itself():
    samples = [sample(*[(index, 2**40 + index) for index in range(1, 20) if index not in (7, 8, 9, 10)], age_s=5)]
    telegrams = sealing().seal(samples, 51)
    assert len(telegrams) > 1
    seen = {}
    for telegram in telegrams:
        assert len(telegram.payload) <= 51
        values = opened(telegram.payload, telegram.counter)
        assert values.pop(AGE) == 5
        seen |= values
    assert seen == {value.register: value.value for value in samples[0].values}
    assert len({telegram.counter for telegram in telegrams}) == len(telegrams)


def test_a_value_too_long_for_any_telegram_is_named_and_left_out(caplog):
    [telegram] = sealing().seal([sample((1, 2**60), (2, 5))], 12)
    assert opened(telegram.payload, telegram.counter) == {2: 5}
    assert "register 1 does not fit" in caplog.text


@pytest.mark.parametrize("mode", ["values", "all", "clear"])
def test_each_mode_opens(mode):
    [telegram] = sealing(mode=mode).seal(USUAL, 51)
    assert parse_values(telegram.payload).mode is {"values": Mode.VALUES, "all": Mode.ALL, "clear": Mode.CLEAR}[mode]
    assert opened(telegram.payload, telegram.counter) == {1: 56841020, 2: 3197930}


def test_a_least_width_hides_the_magnitude():
    lengths = {
        len(telegram.payload)
        for value in (0, 255, 2**32)
        for telegram in sealing(least_width=5).seal([sample((1, value))], 51)
    }
    assert len(lengths) == 1
