"""The layout of values telegrams: what is read without a key, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import FormatError, LimitExceeded, UnsupportedVersion, ValueOutOfRange
from meterwire.registers import IDENTITY, register_number
from meterwire.values_telegram import (
    SIGNED,
    Mode,
    Value,
    decode_body,
    encode_body,
    parse_values,
    restore_counter,
)
from tests.meterwire.vectors import load

VECTORS = load("values_telegrams")


def value_of(number: int) -> st.SearchStrategy[Value]:
    low, high = (-(1 << 63), (1 << 63) - 1) if number & 31 in SIGNED else (0, (1 << 64) - 1)
    high = (1 << 32) - 1 if number & 31 == IDENTITY else high
    return st.builds(Value, st.just(number), st.integers(low, high))


registers = st.builds(register_number, st.integers(1, 31), st.integers(0, 7))
values = (
    st.lists(registers, min_size=1, max_size=20, unique=True)
    .flatmap(lambda numbers: st.tuples(*map(value_of, numbers)))
    .map(list)
)


def test_register_names_stay_readable_without_a_key() -> None:
    telegram = parse_values(bytes.fromhex(VECTORS["telegrams"][0]["bytes"]))
    assert (telegram.mode, telegram.tag_length, telegram.key_slot, telegram.counter_low) == (Mode.VALUES, 4, 1, 0x267F)
    assert telegram.registers == ((1, 4), (2, 3))
    assert telegram.tag.hex() == "d2d1c10f"
    assert telegram.clear_values() is None


def test_in_mode_2_nothing_of_the_registers_shows() -> None:
    telegram = parse_values(bytes.fromhex(VECTORS["telegrams"][2]["bytes"]))
    assert (telegram.mode, telegram.registers, telegram.clear_values()) == (Mode.ALL, None, None)


@pytest.mark.parametrize("vector", VECTORS["telegrams"], ids=lambda vector: vector["name"])
def test_a_parsed_telegram_gives_its_bytes_again(vector: dict[str, str]) -> None:
    payload = bytes.fromhex(vector["bytes"])
    assert parse_values(payload).payload == payload


def test_mode_0_has_no_tag_and_clear_values() -> None:
    telegram = parse_values(bytes.fromhex("02 0005 21 04d2"))
    assert (telegram.mode, telegram.key_slot, telegram.tag) == (Mode.METER, 2, b"")
    assert telegram.clear_values() == (Value(1, 1234),)


def test_an_extended_register_names_the_input() -> None:
    body = encode_body([Value(register_number(1, 3), 7), Value(register_number(7, 1), -1)])
    assert body.hex() == "1f6107" + "1f2701"
    assert decode_body(body) == (Value(97, 7), Value(39, -1))


@pytest.mark.parametrize(
    ("number", "value", "encoded"),
    [
        (1, 0, "0100"),
        (1, 255, "01ff"),
        (1, 256, "210100"),
        (1, (1 << 64) - 1, "e1" + "ff" * 8),
        (7, 0, "0700"),
        (7, -1, "0701"),
        (7, 1, "0702"),
        (7, -128, "07ff"),
        (7, 128, "270100"),
        (29, -(1 << 63), "fd" + "ff" * 8),
    ],
)
def test_values_take_the_shortest_form(number: int, value: int, encoded: str) -> None:
    assert encode_body([Value(number, value)]).hex() == encoded
    assert decode_body(bytes.fromhex(encoded)) == (Value(number, value),)


def test_a_fixed_width_hides_the_magnitude() -> None:
    assert encode_body([Value(1, 5)], {1: 5}).hex() == "810000000005"
    assert encode_body([Value(1, 1 << 40)], {1: 5}).hex() == "a1010000000000"
    for width in (0, 9):
        with pytest.raises(ValueOutOfRange, match="1 to 8 bytes wide"):
            encode_body([Value(1, 5)], {1: width})


@pytest.mark.parametrize(
    ("given_values", "cause"),
    [
        ([Value(1, -5)], "takes no negative value; -5 was given"),
        ([Value(1, 1 << 64)], "more than 8 bytes"),
        ([Value(7, 1 << 63)], "more than 8 bytes"),
        ([Value(7, -(1 << 63) - 1)], "more than 8 bytes"),
        ([Value(1, 5), Value(1, 6)], "given twice"),
        ([Value(31, -5)], "unsigned value, not -5"),
        ([Value(31, 1 << 32)], "register 31 takes more than 4 bytes"),
        ([Value(63, 1 << 32)], "register 63 takes more than 4 bytes"),
        ([Value(0, 5)], "names no register"),
        ([Value(256, 5)], "names no register"),
        ([], "at least one value"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_values_that_no_telegram_carries_are_refused(given_values: list[Value], cause: str) -> None:
    with pytest.raises(ValueOutOfRange, match=cause):
        encode_body(given_values)
    with pytest.raises(ValueError):
        encode_body(given_values)


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        ("", "cut off after 0"),
        ("1126", "cut off after 2"),
        ("11267f", "no register"),
        ("11267f61d2d1c10f", "no register"),
        ("11267f 61 9cc262 d2d1c10f", "cut off: 3 of 4"),
        ("11267f 00 05 d2d1c10f", "index 0"),
        ("11267f 01 05 01 06 d2d1c10f", "twice"),
        ("11267f 1f 21 05 1f 21 06 d2d1c10f", "twice"),
        ("11267f 1f 01 05 d2d1c10f", "short form"),
        ("11267f 01 05 1f d2d1c10f", "inside an extended register"),
        ("11267f 1f 20 05 d2d1c10f", "index 0"),
        ("11267f 1f 3f 05 d2d1c10f", "identity hash has 4 bytes, not 1"),
        ("11267f 9f 1f 0102030405 d2d1c10f", "identity hash has 4 bytes, not 5"),
        ("01267f 01", "no register"),
        ("01267f 01 05 41 06", "cut off: 1 of 3"),
    ],
)
def test_a_telegram_that_breaks_the_layout_is_refused(payload: str, cause: str) -> None:
    with pytest.raises(FormatError, match=cause):
        parse_values(bytes.fromhex(payload))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_later_version_is_named(version: int) -> None:
    with pytest.raises(UnsupportedVersion, match=f"version {version}"):
        parse_values(bytes((version << 6 | 0x11,)) + bytes(15))


def test_more_bytes_than_a_frame_carries_are_refused() -> None:
    with pytest.raises(LimitExceeded):
        parse_values(bytes(243))


@given(values)
def test_decoding_gives_what_was_encoded(given_values: list[Value]) -> None:
    assert list(decode_body(encode_body(given_values))) == given_values


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_format_error(payload: bytes) -> None:
    try:
        telegram = parse_values(payload)
    except FormatError:
        return
    assert telegram.payload == payload
    telegram.clear_values()


@pytest.mark.parametrize(
    ("low", "expected", "full"),
    [
        (0, 0, 0),
        (1, 0, 1),
        (0xFFFF, 0, 0xFFFF),
        (0, 1, 0x10000),
        (0x267F, 75391, 75391),
        (0x267F, 75390, 75391),
        (0x267F, 75392, 75391 + 65536),
        (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0, 0xFFFFFFFF, 0x100000000),
    ],
)
def test_the_counter_is_restored_at_or_above_the_expected_one(low: int, expected: int, full: int) -> None:
    assert restore_counter(low, expected) == full


@given(st.integers(0, (1 << 32) - 1), st.integers(0, 0xFFFF))
def test_up_to_65535_lost_telegrams_do_not_matter(expected: int, lost: int) -> None:
    assert restore_counter((expected + lost) & 0xFFFF, expected) == expected + lost
