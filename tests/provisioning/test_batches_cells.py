"""The parsers of cells: what is meant is read, what is spoiled is named, and a key is never shown."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.batches import cells
from provisioning.batches.cells import FORMULA, NUMBER, Cell
from provisioning.batches.errors import CellError
from provisioning.batches.fields import FIELDS
from provisioning.batches.report import harmless
from provisioning.batches.seen import Seen

EUI = "70b3d57ed0000001"


def refusal(parse: Callable[[Cell], object], cell: Cell) -> str:
    """What is said against a cell; empty when it is accepted."""
    try:
        parse(cell)
    except CellError as error:
        return f"{error.code}: {error.message}"
    return ""


def code(parse: object, text: str, flaw: str = "") -> str:
    with pytest.raises(CellError) as caught:
        parse(Cell(text, flaw))  # type: ignore[operator]
    return caught.value.code


@pytest.mark.parametrize(
    "text",
    [EUI, EUI.upper(), "70-B3-D5-7E-D0-00-00-01", "70:b3:d5:7e:d0:00:00:01", " 70B3 D57E D000 0001 ", f"0x{EUI}"],
)
def test_an_eui_is_read_in_every_usual_notation(text: str) -> None:
    assert cells.eui(Cell(text)) == EUI


@pytest.mark.parametrize(
    ("text", "flaw", "wanted"),
    [
        ("7.0B3D57E+15", "", "number"),
        ("7,01234E+15", "", "number"),
        ("7.01234567890123E+15", "", "number"),
        ("7.012.345.678.901.234", "", "number"),
        ("7012345678901234", NUMBER, "number"),
        ("7012345678901230.0", "", "number"),
        ("70B3D57ED000001", "", "length"),
        ("1234567890123", "", "length"),
        ("70B3D57ED00000001", "", "length"),
        ("70B3D57ED000000G", "", "not_hex"),
        ("DevEUI", "", "not_hex"),
        ("0" * 16, "", "placeholder"),
        ("F" * 16, "", "placeholder"),
        ("=A1", FORMULA, "formula"),
        ("70B3D57E\x00D0000001", "", "control_characters"),
        ("7" * 2000, "", "too_long"),
    ],
)
def test_an_eui_that_is_wrong_is_named_for_what_it_is(text: str, flaw: str, wanted: str) -> None:
    assert code(cells.eui, text, flaw) == wanted


def test_digits_alone_are_no_mangled_number() -> None:
    assert cells.eui(Cell("7012345678901234")) == "7012345678901234"
    assert cells.eui(Cell("70123456789E1234")) == "70123456789e1234"
    assert cells.key(Cell("1" * 31 + "2")).hex() == "1" * 31 + "2"


@given(st.binary(min_size=8, max_size=8), st.sampled_from(["", "-", ":", " "]), st.booleans())
def test_every_eui_comes_through(octets: bytes, separator: str, capital: bool) -> None:
    text = separator.join(f"{octet:02x}" for octet in octets)
    if len(set(octets)) == 1 and octets[0] in (0, 255):
        return
    assert cells.eui(Cell(text.upper() if capital else text)) == octets.hex()


@given(st.binary(min_size=16, max_size=16), st.booleans())
def test_every_key_comes_through(octets: bytes, capital: bool) -> None:
    text = octets.hex()
    assert cells.key(Cell(text.upper() if capital else text)) == octets


@given(st.text(max_size=80), st.sampled_from(["", FORMULA, NUMBER, cells.FAULT]))
def test_no_cell_breaks_a_parser_and_no_refusal_shows_a_secret(text: str, flaw: str) -> None:
    for field in FIELDS:
        told = refusal(field.parse, Cell(text, flaw))
        if field.secret and len(text.strip()) > 12:
            assert text.strip() not in told


@pytest.mark.parametrize(
    "key",
    ["00" * 16, "ff" * 16, "ab" * 16, EUI * 2, "00" * 8 + EUI, EUI + "00" * 8, "2b7e151628aed2a6abf7158809cf4f3c",
     "000102030405060708090a0b0c0d0e0f", bytes.fromhex(EUI)[::-1].hex() + "00" * 8],
)  # fmt: skip
def test_a_key_that_everybody_can_guess_is_weak(key: str) -> None:
    assert cells.weakness(bytes.fromhex(key), EUI, "")


def test_a_random_key_is_not_weak() -> None:
    assert cells.weakness(bytes.fromhex("8f3c1d0e77a2b95c4410de6f9a3b7e21"), EUI, "70b3d57ed0000000") == ""


@pytest.mark.parametrize("text", ["1.0.4", "V1.0.4", "LoRaWAN 1.0.4", "lorawan v1.0.4"])
def test_a_lorawan_version_is_understood(text: str) -> None:
    assert cells.lorawan(Cell(text)) == "1.0.4"
    assert code(cells.lorawan, "1.1") == "choice"


@pytest.mark.parametrize(("text", "wanted"), [("8", "range"), ("-1", "not_a_number"), ("x", "not_a_number")])
def test_a_slot_is_a_small_number(text: str, wanted: str) -> None:
    assert code(cells.slot, text) == wanted
    assert cells.slot(Cell("7.0", NUMBER)) == 7


@pytest.mark.parametrize("read", [cells.slot, cells.tag_length, cells.period_s, cells.data_rate])
def test_a_number_that_is_too_large_is_not_called_no_number(read: Callable[[Cell], object]) -> None:
    assert code(read, "604800") in {"range", "period", "data_rate"}
    assert code(read, "9" * 1000) == "not_a_number"


@given(st.text(max_size=40))
def test_no_cell_of_the_report_is_a_formula(text: str) -> None:
    assert not harmless(text).startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), max_size=12))
def test_what_occurs_twice_is_found_at_each_of_its_places(values: list[bytes]) -> None:
    seen = Seen()
    for place, value in enumerate(values):
        seen.add(value, place)
    found = dict(seen.repeated())
    assert set(found) == {place for place, value in enumerate(values) if values.count(value) > 1}
    assert all(values[place] == values[other] and place != other for place, other in found.items())
