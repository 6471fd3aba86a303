"""Adapter labels: what a scanner reads becomes identities, and a damaged or foreign code is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import LabelError, ValueOutOfRange
from meterwire.ids import DevEUI, JoinEUI
from meterwire.label import MAX_LABEL, Label, crc16_modbus, is_owner_token, owner_token, parse
from tests.meterwire.vectors import load

VECTORS = load("labels")
TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters=":"), min_size=1, max_size=30)
labels = st.builds(
    Label,
    st.builds(JoinEUI, st.binary(min_size=8, max_size=8)),
    st.builds(DevEUI, st.binary(min_size=8, max_size=8)),
    st.from_regex("[0-9A-F]{8}", fullmatch=True),
    st.none() | TEXT,
    st.none() | TEXT,
    st.none() | TEXT,
)


@pytest.mark.parametrize("text", VECTORS["valid"])
def test_a_label_is_read_and_written(text: str) -> None:
    label = parse(text)
    assert text == label.format(checksum=":C" in text)


def test_its_fields_have_names() -> None:
    label = parse(VECTORS["valid"][1])
    assert (str(label.join_eui), str(label.dev_eui)) == ("70b3d57ed0000001", "70b3d57ed0061234")
    assert (label.profile_id, label.owner_token, label.serial, label.proprietary) == (
        "FFFF0001",
        "0F3A9C",
        "1EMH0012345678",
        None,
    )
    assert "0F3A9C" not in repr(label)


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda vector: vector["why"])
def test_a_damaged_label_is_refused(vector: dict[str, str]) -> None:
    with pytest.raises(LabelError):
        parse(vector["qr"])


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "no adapter label"),
        ("1EMH0012345678", "no adapter label"),
        ("https://example.org/", "no adapter label"),
        ("LW:D1:1122334455667788:AABBCCDDEEFF0011:AABB1122", "no adapter label"),
        ("LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB112", "profile"),
        ("LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122:O", "owner token"),
        ("LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122::", "unexpected field ''"),
        ("LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122:X1", "unexpected field 'X'"),
        ("LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122:S1:S2", "unexpected field 'S'"),
        ("LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122:C12", "4 hex digits"),
        ("LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122:SÄ", "serial number"),
        ("LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122:SÄ:C1234", "checksum"),
        ("LW:D0:" + "1" * MAX_LABEL, "at most"),
    ],
)
def test_the_refusal_names_the_cause(text: str, cause: str) -> None:
    with pytest.raises(LabelError, match=cause):
        parse(text)


def test_a_scanner_may_add_blanks_and_small_letters_without_a_checksum() -> None:
    assert parse(" lw:d0:".upper() + "70b3d57ed0000001:70b3d57ed0061234:ffff0001\r\n").profile_id == "FFFF0001"


def test_the_checksum_is_that_of_modbus() -> None:
    assert crc16_modbus(b"123456789") == 0x4B37


def test_a_label_that_would_not_fit_is_refused() -> None:
    with pytest.raises(LabelError, match="longer than"):
        Label(JoinEUI(bytes(8)), DevEUI(bytes(8)), "00000000", serial="9" * MAX_LABEL)


@given(labels)
def test_reading_gives_what_was_written(label: Label) -> None:
    assert parse(label.format()) == label
    assert parse(label.format(checksum=False)) == label


@given(st.text(max_size=300) | st.text("LWD0:OSPC123AF", max_size=100).map(lambda rest: f"LW:D0:{rest}"))
def test_no_text_raises_anything_but_a_label_error(text: str) -> None:
    try:
        parse(text)
    except LabelError:
        pass


def test_an_owner_token_is_base32_of_sixteen_bytes() -> None:
    assert owner_token(bytes(range(16))) == "AAAQEAYEAUDAOCAJBIFQYDIOB4"
    assert owner_token(b"\xff" * 16) == "77777777777777777777777774"


@given(st.binary(min_size=16, max_size=16))
def test_every_token_has_the_form_of_ours_and_fits_a_label(entropy: bytes) -> None:
    token = owner_token(entropy)
    assert len(token) == 26
    assert is_owner_token(token)
    assert parse(Label(JoinEUI(bytes(8)), DevEUI(bytes(8)), "00000000", token).format()).owner_token == token


@pytest.mark.parametrize("entropy", [b"", bytes(15), bytes(17)])
def test_a_token_of_less_or_more_entropy_is_refused(entropy: bytes) -> None:
    with pytest.raises(ValueOutOfRange, match="16 random bytes"):
        owner_token(entropy)


@pytest.mark.parametrize(
    "text",
    ["", "0F3A9C", "A" * 25, "A" * 27, "a" * 26, "A" * 25 + "B", "A" * 25 + "1", "A" * 26 + "\n", "0" * 26],
)
def test_other_texts_are_no_token_of_ours(text: str) -> None:
    assert not is_owner_token(text)


def test_neither_the_token_nor_what_a_supplier_hid_in_the_proprietary_part_is_in_its_repr() -> None:
    shown = repr(Label(JoinEUI(bytes(8)), DevEUI(bytes(8)), "00000000", "TOKEN", "S1", "00112233445566778899"))
    assert "TOKEN" not in shown
    assert "0011" not in shown
    assert "S1" in shown
