"""Sealing: the vectors, all modes, and nothing changed, repeated or foreign ever opens."""

import copy
import pickle
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import FormatError, MeterspanError, TagMismatch, ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.registers import register_number
from meterwire.seal import InnerKey, Key16, Mode, Value, ValuesOpener, ValuesSealer, parse_values
from tests.meterwire.test_values_telegram import values
from tests.meterwire.vectors import load

VECTORS = load("values_telegrams")
KEY = bytes.fromhex(VECTORS["key"])
DEVICE = DevEUI.parse(VECTORS["dev_eui"])
COUNTER = VECTORS["counter"]
VALUES = [Value(int(register), value) for register, value in VECTORS["values"].items()]
SEALED_MODES = [Mode.VALUES, Mode.ALL, Mode.CLEAR]


def sealer(tag_length: int = 4, slot: int = 1, **options: Any) -> ValuesSealer:
    return ValuesSealer(InnerKey(KEY, tag_length), slot, DEVICE, **options)


def opener(tag_length: int = 4, key: bytes = KEY, device: DevEUI = DEVICE, port: int = 16) -> ValuesOpener:
    return ValuesOpener(InnerKey(key, tag_length), device, port)


@pytest.mark.parametrize("vector", VECTORS["telegrams"], ids=lambda vector: vector["name"])
def test_the_vectors_are_sealed_and_opened(vector: dict[str, Any]) -> None:
    payload, tag_length, mode = bytes.fromhex(vector["bytes"]), vector["tag_length"], Mode(vector["mode"])
    assert sealer(tag_length).seal(COUNTER, VALUES, mode) == payload
    assert opener(tag_length).open(payload, COUNTER) == tuple(VALUES)
    assert opener(tag_length).open(parse_values(payload), COUNTER) == tuple(VALUES)


def test_the_nonce_and_the_associated_data_are_those_of_the_standard_cipher() -> None:
    nonce = DEVICE.bytes + COUNTER.to_bytes(4, "big") + bytes([16])
    sealed = AESCCM(KEY, 4).encrypt(nonce, bytes.fromhex("0363533c30cbea"), bytes.fromhex("11267f6142"))
    assert sealed.hex() == "9cc262b8" + "d3e97e" + "d2d1c10f"


@pytest.mark.parametrize("vector", VECTORS["telegrams"], ids=lambda vector: vector["name"])
def test_every_change_of_a_single_bit_is_refused(vector: dict[str, Any]) -> None:
    payload, opened = bytes.fromhex(vector["bytes"]), opener(vector["tag_length"])
    for bit in range(8 * len(payload)):
        changed = bytearray(payload)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MeterspanError):
            opened.open(bytes(changed), COUNTER)


@pytest.mark.parametrize("mode", SEALED_MODES)
@pytest.mark.parametrize("tag_length", [4, 8])
def test_clear_and_extended_telegrams_are_as_tight(mode: Mode, tag_length: int) -> None:
    telegram = sealer(tag_length, slot=7).seal(9, [Value(register_number(7, 2), -300), Value(26, 1)], mode)
    for bit in range(8 * len(telegram)):
        changed = bytearray(telegram)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MeterspanError):
            opener(tag_length).open(bytes(changed), 9)


def test_a_remembered_layout_changes_nothing() -> None:
    """The quick way is taken from the second telegram on: it refuses and reads as the long way does."""
    opened, sealed = opener(), sealer()
    layouts = [
        [Value(1, 1), Value(2, 2)],
        [Value(1, 1), Value(2, 2)],
        [Value(1, 300), Value(2, 2)],
        [Value(2, 7), Value(1, 8)],
        [Value(1, 1), Value(7, -2)],
        [Value(7, -1), Value(2, 2)],
        [Value(1, 1), Value(7, -2)],
        [Value(1, 1), Value(register_number(2, 1), 2)],
        [Value(1, (1 << 64) - 1), Value(2, (1 << 64) - 1)],
        [Value(1, (1 << 64) - 1), Value(2, (1 << 64) - 1)],
        [Value(1, 5)],
        [Value(1, 5), Value(2, 6), Value(3, 7)],
    ]
    for counter, given_values in enumerate(layouts * 2):
        for mode in SEALED_MODES:
            assert list(opened.open(sealed.seal(counter, given_values, mode), counter)) == given_values
    warm, payload = opener(), bytes.fromhex(VECTORS["telegrams"][0]["bytes"])
    assert warm.open_raw(payload, COUNTER) == warm.open_raw(payload, COUNTER) == [(1, 56841020), (2, 3197930)]
    for bit in range(128):
        changed = bytearray(payload)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MeterspanError):
            warm.open_raw(bytes(changed), COUNTER)
    for counter in (-1, 1 << 32):
        with pytest.raises(ValueOutOfRange):
            warm.open_raw(payload, counter)
    for length in range(16):
        with pytest.raises((FormatError, TagMismatch)):
            warm.open_raw(payload[:length], COUNTER)


@pytest.mark.parametrize("length", range(16))
def test_a_cut_telegram_is_refused(length: int) -> None:
    with pytest.raises(MeterspanError):
        opener().open(bytes.fromhex(VECTORS["telegrams"][0]["bytes"])[:length], COUNTER)


@given(values, st.sampled_from(SEALED_MODES), st.sampled_from([4, 8]), st.integers(0, 7), st.integers(0, (1 << 32) - 1))
def test_opening_gives_what_was_sealed(
    given_values: list[Value], mode: Mode, tag_length: int, slot: int, counter: int
) -> None:
    telegram = sealer(tag_length, slot).seal(counter, given_values, mode)
    parsed = parse_values(telegram)
    assert (parsed.mode, parsed.tag_length, parsed.key_slot) == (mode, tag_length, slot)
    assert parsed.counter_low == counter & 0xFFFF
    assert list(opener(tag_length).open(telegram, counter)) == given_values


@given(values)
def test_only_the_values_are_encrypted_in_mode_1(given_values: list[Value]) -> None:
    telegram = parse_values(sealer().seal(1, given_values))
    assert telegram.registers is not None
    assert [number for number, _ in telegram.registers] == [value.register for value in given_values]


@given(st.binary(max_size=300), st.integers(0, (1 << 32) - 1))
def test_no_bytes_raise_anything_but_our_errors(payload: bytes, counter: int) -> None:
    with pytest.raises((FormatError, TagMismatch)):
        opener().open_raw(payload, counter)


@given(st.binary(min_size=1, max_size=60))
def test_no_bytes_behind_a_good_header_raise_anything_but_our_errors(body: bytes) -> None:
    for header in (b"\x11\x00\x00", b"\x21\x00\x00", b"\x31\x00\x00"):
        with pytest.raises((FormatError, TagMismatch)):
            opener().open_raw(header + body, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        opener(key=bytes(16)),
        opener(device=DevEUI.parse("70b3d57ed0061235")),
        opener(port=17),
    ],
    ids=["key", "device", "port"],
)
def test_a_foreign_key_device_or_port_does_not_open(wrong: ValuesOpener) -> None:
    with pytest.raises(TagMismatch, match="wrong key, wrong counter or changed bytes"):
        wrong.open(bytes.fromhex(VECTORS["telegrams"][0]["bytes"]), COUNTER)


def test_the_same_telegram_under_another_counter_does_not_open() -> None:
    for counter in (COUNTER - 65536, COUNTER + 65536, COUNTER + 1):
        with pytest.raises(TagMismatch):
            opener().open(bytes.fromhex(VECTORS["telegrams"][0]["bytes"]), counter)


@pytest.mark.parametrize("counter", [-1, 1 << 32])
def test_a_counter_over_32_bits_is_refused_both_ways(counter: int) -> None:
    with pytest.raises(ValueOutOfRange, match="32-bit"):
        sealer().seal(counter, VALUES)
    with pytest.raises(ValueOutOfRange, match="32-bit"):
        opener().open(bytes.fromhex(VECTORS["telegrams"][0]["bytes"]), counter)


def test_the_tag_length_belongs_to_the_key() -> None:
    with pytest.raises(FormatError, match="tag of 8 bytes, the key asks for 4"):
        opener(4).open(sealer(8).seal(1, VALUES), 1)
    with pytest.raises(FormatError, match="tag of 4 bytes, the key asks for 8"):
        opener(8).open(sealer(4).seal(1, VALUES), 1)


def test_a_telegram_without_a_tag_proves_nothing() -> None:
    telegram = sealer().seal(1, VALUES, Mode.METER)
    assert telegram.hex() == "010001" + "610363533c" + "4230cbea"
    assert parse_values(telegram).clear_values() == tuple(VALUES)
    with pytest.raises(FormatError, match="no inner tag"):
        opener().open(telegram, 1)


def test_a_clear_telegram_is_readable_and_authentic() -> None:
    telegram = sealer().seal(1, VALUES, Mode.CLEAR)
    assert parse_values(telegram).clear_values() == opener().open(telegram, 1) == tuple(VALUES)


def test_a_telegram_of_the_largest_size_fits_and_a_larger_one_names_the_cure() -> None:
    many = [Value(register_number(index, 1), (1 << 64) - 1) for index in range(1, 31) if index not in (7, 8, 9, 10, 29)]
    assert len(sealer().seal(1, many[:23])) == 3 + 23 * 10 + 4
    with pytest.raises(ValueOutOfRange, match="send fewer registers at a time"):
        sealer(8).seal(1, many[:24])


def test_a_fixed_width_gives_telegrams_of_one_length() -> None:
    fixed = sealer(widths={1: 5, 2: 5})
    assert {len(fixed.seal(1, [Value(1, value), Value(2, 0)])) for value in (0, 1 << 20, 1 << 39)} == {19}


@pytest.mark.parametrize("slot", [-1, 8])
def test_a_slot_outside_the_header_is_refused(slot: int) -> None:
    with pytest.raises(ValueOutOfRange):
        sealer(slot=slot)


@pytest.mark.parametrize("port", [-1, 256])
def test_a_port_outside_a_byte_is_refused(port: int) -> None:
    with pytest.raises(ValueOutOfRange):
        opener(port=port)


class TestKeys:
    def test_show_themselves_nowhere(self) -> None:
        for key in (Key16(KEY), InnerKey(KEY)):
            assert repr(key) == str(key) == f"{type(key).__name__}(hidden)"

    def test_compare_by_value_and_have_no_hash(self) -> None:
        assert Key16(KEY) == Key16(KEY) != Key16(bytes(16))
        assert InnerKey(KEY, 4) != InnerKey(KEY, 8)
        assert Key16(KEY) != KEY
        with pytest.raises(TypeError):
            hash(InnerKey(KEY))

    def test_are_read_from_hex_without_repeating_it_in_the_error(self) -> None:
        assert Key16.parse(KEY.hex().upper()) == Key16(KEY)
        for text in ("", KEY.hex()[1:], KEY.hex() + "00", "zz" * 16):
            with pytest.raises(ValueOutOfRange) as refusal:
                InnerKey.parse(text)
            assert not text or text not in str(refusal.value)

    def test_have_a_check_value_to_compare(self) -> None:
        # FIPS 197 appendix B's cipher over the zero block, for the all-zero key.
        assert Key16(bytes(16)).check_value().hex() == "66e94b"

    @pytest.mark.parametrize("length", [0, 15, 17, 32])
    def test_of_another_length_are_refused(self, length: int) -> None:
        with pytest.raises(ValueOutOfRange):
            Key16(bytes(length))

    @pytest.mark.parametrize("tag_length", [0, 5, 16])
    def test_have_tags_of_four_or_eight_bytes(self, tag_length: int) -> None:
        with pytest.raises(ValueOutOfRange):
            InnerKey(KEY, tag_length)

    def test_survive_a_copy(self) -> None:
        assert copy.deepcopy(InnerKey(KEY, 8)) == InnerKey(KEY, 8) == pickle.loads(pickle.dumps(InnerKey(KEY, 8)))
