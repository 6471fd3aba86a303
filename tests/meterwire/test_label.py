"""Adapter labels: what a scanner reads becomes identities, and a damaged or foreign code is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import LabelError
from meterwire.ids import DevEUI, JoinEUI
from meterwire.label import MAX_LABEL, Label, crc16_modbus, parse
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
