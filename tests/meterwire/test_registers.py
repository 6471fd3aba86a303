"""The register dictionary: indices, OBIS codes, resolutions, and the one number for a register of an input."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import ValueOutOfRange
from meterwire.registers import REGISTERS, by_index, by_obis, register_number, split_number


def test_the_dictionary_is_full_and_unambiguous() -> None:
    assert list(REGISTERS) == list(range(1, 31))
    assert len({register.obis for register in REGISTERS.values()}) == 30
    assert all(register.index == index for index, register in REGISTERS.items())


@pytest.mark.parametrize(
    ("index", "obis", "unit", "exponent", "signed"),
    [
        (1, "1-0:1.8.0", "Wh", 0, False),
        (2, "1-0:2.8.0", "Wh", 0, False),
        (7, "1-0:16.7.0", "W", 0, True),
        (11, "1-0:32.7.0", "V", -1, False),
        (16, "1-0:71.7.0", "A", -2, False),
        (20, "8-0:1.0.0", "m3", -3, False),
        (28, "0-0:96.6.3", "V", -2, False),
        (29, "0-0:96.9.0", "°C", -1, True),
    ],
)
def test_a_register_has_its_unit_and_resolution(index: int, obis: str, unit: str, exponent: int, signed: bool) -> None:
    register = by_index(index)
    assert (register.obis, register.unit, register.exponent, register.signed) == (obis, unit, exponent, signed)
    assert by_obis(obis) is by_obis(f"{obis}*255") is register


@pytest.mark.parametrize("obis", ["1-0:1.8.0*96", "1-0:1.8.3", "129-129:199.130.5*255", "", "*255"])
def test_other_codes_and_past_periods_have_no_index(obis: str) -> None:
    assert by_obis(obis) is None


@pytest.mark.parametrize("index", [0, 31, -1, 255])
def test_an_index_outside_the_dictionary_is_refused(index: int) -> None:
    with pytest.raises(ValueOutOfRange):
        by_index(index)


def test_quantities_are_exact_and_round_towards_zero() -> None:
    voltage, power = by_index(11), by_index(7)
    assert str(voltage.quantity(2301)) == "230.1"
    assert voltage.integer(Decimal("230.19")) == 2301
    assert power.integer(Decimal("-17.9")) == -17
    assert by_index(1).integer(Decimal("2324E3")) == 2324000


def test_a_negative_quantity_needs_a_signed_register() -> None:
    with pytest.raises(ValueOutOfRange, match="takes no negative value"):
        by_index(1).integer(Decimal(-5))


@pytest.mark.parametrize(
    ("index", "largest", "too_large"),
    [(1, 2**64 - 1, 2**64), (7, 2**63 - 1, 2**63), (7, -(2**63), -(2**63) - 1), (1, 2**64 - 1, "3.4E38")],
)
def test_a_quantity_that_no_telegram_can_carry_is_refused(index: int, largest: int, too_large: int | str) -> None:
    assert by_index(index).integer(Decimal(largest)) == largest
    with pytest.raises(ValueOutOfRange, match="does not fit"):
        by_index(index).integer(Decimal(too_large))


@given(st.integers(1, 31), st.integers(0, 7))
def test_a_register_number_splits_into_what_made_it(index: int, input_: int) -> None:
    assert split_number(register_number(index, input_)) == (index, input_)


@pytest.mark.parametrize(("index", "input_"), [(0, 0), (32, 0), (1, 8), (1, -1)])
def test_no_number_for_what_a_telegram_cannot_name(index: int, input_: int) -> None:
    with pytest.raises(ValueOutOfRange):
        register_number(index, input_)


@pytest.mark.parametrize("number", [-1, 0, 32, 64, 256, 8 * 32 + 1])
def test_numbers_that_name_no_register_are_refused(number: int) -> None:
    with pytest.raises(ValueOutOfRange):
        split_number(number)
