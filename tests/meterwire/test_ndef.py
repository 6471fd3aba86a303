"""A label on an NFC tag: one text record, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import FormatError, LimitExceeded, ValueOutOfRange
from meterwire.label import MAX_LABEL
from meterwire.ndef import MAX_RECORD, decode, encode

printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=MAX_LABEL)


def test_the_record_is_laid_out_as_the_nfc_forum_says() -> None:
    assert encode("LW:D0").hex() == "d101085402656e" + b"LW:D0".hex()


def test_a_long_label_takes_the_long_form() -> None:
    assert encode("x" * 253)[:7].hex() == "c10100000100" + "54"
    assert encode("x" * 252)[:4].hex() == "d101ff54"


@given(printable)
def test_reading_gives_what_was_written(text: str) -> None:
    assert decode(encode(text)) == text


def test_another_language_is_read() -> None:
    assert decode(b"\xd1\x01\x08T\x05de-DEAB") == "AB"


@pytest.mark.parametrize("text", ["", "x" * (MAX_LABEL + 1), "Zähler", "a\n"])
def test_no_record_for_what_is_no_label(text: str) -> None:
    with pytest.raises(ValueOutOfRange):
        encode(text)


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        ("", "exactly one"),
        ("d1010854", "exactly one"),
        ("91010454 02656e41", "exactly one"),
        ("51010454 02656e41", "exactly one"),
        ("d9010400 5402656e41", "exactly one"),
        ("f1010454 02656e41", "exactly one"),
        ("d2010454 02656e41", "exactly one"),
        ("d1010455 02656e41", "no text record"),
        ("d1020454 02656e41", "no text record"),
        ("d1010554 02656e41", "cut off"),
        ("d1010354 02656e41", "cut off"),
        ("d1010454 82656e41", "not UTF-8"),
        ("d1010454 42656e41", "not UTF-8"),
        ("d1010454 00656e41", "not UTF-8"),
        ("d1010454 3f656e41", "no label"),
        ("d1010354 02656e", "no label"),
        ("d1010454 02656e07", "no label"),
        ("d1010554 02656ec3a4", "no label"),
    ],
)
def test_another_record_is_refused(record: str, cause: str) -> None:
    with pytest.raises(FormatError, match=cause):
        decode(bytes.fromhex(record))


def test_more_than_a_label_is_refused_before_it_is_read() -> None:
    with pytest.raises(LimitExceeded):
        decode(bytes(MAX_RECORD + 1))


@given(st.binary(max_size=400) | st.binary(max_size=80).map(lambda rest: b"\xd1\x01" + rest))
def test_no_bytes_raise_anything_but_a_format_error(record: bytes) -> None:
    try:
        assert decode(record)
    except FormatError:
        pass
