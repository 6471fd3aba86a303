"""The previous value in a telegram: what it tells, when it is left out, and that it is sealed like any value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import FormatError, ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.previous import MAX_GROWTH, earlier, growth
from meterwire.registers import AGE, IDENTITY, previous_number, register_number
from meterwire.seal import InnerKey, Mode, ValuesOpener, ValuesSealer
from meterwire.values_telegram import Value, decode_body, encode_body

KEY, DEV_EUI = InnerKey(bytes(range(16, 32))), DevEUI.parse("70b3d57ed0061234")


def test_two_bytes_tell_the_value_of_a_quarter_of_an_hour_before() -> None:
    before, now = Value(1, 2_324_000), Value(1, 2_324_113)
    step = growth(now, before)
    assert step == Value(previous_number(), 113)
    assert encode_body([now, step]).hex() == encode_body([now]).hex() + "0071"
    assert earlier([now, step]) == (before,)


def test_the_first_register_of_its_input_is_meant_whatever_stands_before_it() -> None:
    values = [
        Value(register_number(IDENTITY, 2), 1),
        Value(register_number(AGE, 2), 30),
        Value(register_number(20, 2), 500),
        Value(register_number(21, 2), 90),
        Value(previous_number(2), 7),
    ]
    assert earlier(values) == (Value(register_number(20, 2), 493),)
    assert list(decode_body(encode_body(values))) == values


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (Value(1, 5), Value(2, 4)),
        (Value(1, 5), Value(1, 6)),
        (Value(1, MAX_GROWTH + 1), Value(1, 0)),
        (Value(7, 5), Value(7, 4)),  # active power may be negative
    ],
)
def test_what_cannot_be_told_is_left_out(now: Value, before: Value) -> None:
    assert growth(now, before) is None


def test_without_growth_it_takes_two_bytes_too() -> None:
    step = growth(Value(1, 5), Value(1, 5))
    assert step is not None
    assert earlier([Value(1, 5), step]) == (Value(1, 5),)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("0005", "without a register"),
        ("1b0500 01", "without a register"),  # an age is none
        ("01054000000a", "has 1 or 2 bytes, not 3"),
        ("010500010002", "twice"),
        ("01053f200001", "without a register"),  # of input 1
        ("01051f0001", "short form"),
    ],
)
def test_a_body_that_no_adapter_writes_is_refused(body: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        decode_body(bytes.fromhex(body))


@pytest.mark.parametrize("values", [[Value(0, 5)], [Value(1, 5), Value(0, 65536)], [Value(1, 5), Value(0, -1)]])
def test_nor_is_it_written(values: list[Value]) -> None:
    with pytest.raises(ValueOutOfRange):
        encode_body(values)


def test_a_growth_of_more_than_there_is_comes_from_no_adapter() -> None:
    with pytest.raises(ValueOutOfRange, match="cannot have grown"):
        earlier([Value(1, 5), Value(0, 6)])


@given(st.integers(0, 1 << 40), st.integers(0, MAX_GROWTH), st.integers(0, 7), st.sampled_from([Mode.VALUES, Mode.ALL]))
def test_it_is_sealed_and_opened_like_any_value(value: int, step: int, input_: int, mode: Mode) -> None:
    number = register_number(1, input_)
    values = [Value(number, value + step), Value(previous_number(input_), step)]
    telegram = ValuesSealer(KEY, 1, DEV_EUI).seal(77, values, mode)
    opened = ValuesOpener(KEY, DEV_EUI).open(telegram, 77)
    assert list(opened) == values
    assert earlier(opened) == (Value(number, value),)


def test_the_remembered_layout_opens_it_too() -> None:
    sealer, opener = ValuesSealer(KEY, 1, DEV_EUI), ValuesOpener(KEY, DEV_EUI)
    for counter in (5, 6, 7):
        values = [Value(1, 70_000 + counter), Value(0, counter)]
        assert list(opener.open(sealer.seal(counter, values), counter)) == values
