"""The form in which opened telegrams rest."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from meterwire.errors import FormatError, TagMismatch
from meterwire.ids import DevEUI
from meterwire.resting import StoredOpener, rest, rests
from meterwire.seal import InnerKey, ValuesSealer
from meterwire.values_telegram import Mode, Value, parse_values

DEV_EUI = DevEUI.parse("70b3d57ed0061234")
AIR, STORAGE = InnerKey(bytes(range(16))), InnerKey(bytes(range(16, 32)), 8)
COUNTER = 0x0001267F
VALUES = [(1, 56_841_020), (7, -20), (33, 5)]
MODES = [Mode.VALUES, Mode.ALL, Mode.CLEAR]


def sealed(mode: Mode, tag_length: int = 4) -> bytes:
    key = InnerKey(AIR.reveal(), tag_length)
    return ValuesSealer(key, 3, DEV_EUI, widths={1: 6}).seal(COUNTER, [Value(*pair) for pair in VALUES], mode)


@pytest.mark.parametrize("tag_length", [4, 8])
@pytest.mark.parametrize("mode", MODES)
def test_both_forms_open_to_the_same_values(mode: Mode, tag_length: int) -> None:
    telegram = sealed(mode, tag_length)
    resting = rest(STORAGE, DEV_EUI, telegram, COUNTER, VALUES)
    assert StoredOpener(AIR, DEV_EUI).open(telegram, COUNTER) == VALUES
    assert StoredOpener(STORAGE, DEV_EUI).open(resting, COUNTER) == VALUES
    assert (rests(telegram), rests(resting)) == (False, True)


@pytest.mark.parametrize("mode", [Mode.VALUES, Mode.CLEAR])
def test_counter_slot_and_layout_stay_readable(mode: Mode) -> None:
    resting = rest(STORAGE, DEV_EUI, sealed(mode), COUNTER, VALUES)
    parsed = parse_values(bytes((resting[0] & 0x3F,)) + resting[1:])
    assert (parsed.mode, parsed.key_slot, parsed.counter_low) == (Mode.VALUES, 3, COUNTER & 0xFFFF)
    assert parsed.registers == ((1, 6), (7, 1), (33, 1))


def test_the_library_s_own_cipher_opens_it_with_port_0_in_the_nonce() -> None:
    resting = rest(STORAGE, DEV_EUI, sealed(Mode.VALUES), COUNTER, VALUES)
    body = resting[3:]
    names = bytes((body[0], body[7], body[9], body[10]))
    encrypted = body[1:7] + body[8:9] + body[11:]
    nonce = DEV_EUI.bytes + COUNTER.to_bytes(4) + b"\0"
    head = bytes((resting[0] & 0x3F,)) + resting[1:3]
    plain = AESCCM(STORAGE.reveal(), 4).decrypt(nonce, encrypted, head + names)
    assert plain == (56_841_020).to_bytes(6) + bytes((39, 5))


def test_the_same_content_rests_as_the_same_bytes_however_often_it_is_put_to_rest() -> None:
    once = rest(STORAGE, DEV_EUI, sealed(Mode.CLEAR), COUNTER, VALUES)
    assert rest(STORAGE, DEV_EUI, once, COUNTER, VALUES) == once


def test_no_single_bit_can_be_changed_at_rest() -> None:
    resting = rest(STORAGE, DEV_EUI, sealed(Mode.VALUES), COUNTER, VALUES)
    for bit in range(len(resting) * 8):
        changed = bytearray(resting)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((TagMismatch, FormatError)):
            StoredOpener(STORAGE, DEV_EUI).open(bytes(changed), COUNTER)


@pytest.mark.parametrize("payload", [b"", b"\xd1", b"\xd1\0\0", b"\xd1\0\0\x61\1"])
def test_what_is_cut_off_is_no_telegram(payload: bytes) -> None:
    with pytest.raises(FormatError):
        StoredOpener(STORAGE, DEV_EUI).open(payload, COUNTER)
    with pytest.raises(FormatError):
        rest(STORAGE, DEV_EUI, payload, COUNTER, VALUES)
