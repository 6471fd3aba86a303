"""Port 34 against fixed vectors that bare `cryptography` calls recompute, and against any bytes at all."""

import hmac
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from hypothesis import given
from hypothesis import strategies as st

from meterwire.curves import Curve, PrivateKey
from meterwire.errors import AuthenticationError, FormatError, LimitExceeded, UnsupportedVersion, ValueOutOfRange
from meterwire.ids import DevEUI
from meterwire.key_messages import (
    MAX_PAYLOAD,
    MESSAGES,
    DeliveryAnswer,
    ExchangeAnswer,
    ExchangeConfirm,
    ExchangeOffer,
    ExchangeResult,
    HeldKey,
    KeyDelivery,
    KeyPurpose,
    KeyReport,
    KeyRevoke,
    Message,
    Place,
    Result,
    RevokeAnswer,
    decode,
    mac_keys,
    unwrap,
    verify,
    wrap,
)
from meterwire.seal import Key16
from tests.meterwire.vectors import load

VECTORS = load("key_messages")
DEV_EUI = DevEUI.parse(VECTORS["dev_eui"])
TRANSPORT = Key16.parse(VECTORS["transport_key"])
DOWN, UP = (bytes.fromhex(VECTORS[f"mac_key_{way}"]) for way in ("down", "up"))
BYTES = {vector["name"]: bytes.fromhex(vector["bytes"]) for vector in VECTORS["messages"]}

PUBLIC = [PrivateKey.generate(curve, bytes(range(48))).public for curve in Curve]
KEY = Key16(bytes(16))

seqs = st.integers(0, 0xFFFF)
places = st.builds(
    Place, st.one_of(st.sampled_from(KeyPurpose), st.integers(8, 15)), st.integers(0, 7), st.sampled_from([4, 8])
)
times = st.one_of(st.none(), st.integers(1, 2**32 - 1))
validities = st.one_of(
    st.tuples(times, st.none()),
    st.tuples(st.none(), times),
    st.tuples(st.integers(1, 2**31), st.integers(2**31 + 1, 2**32 - 1)),
)
checks = st.binary(min_size=3, max_size=3)
results = st.sampled_from(Result)
publics = st.sampled_from(PUBLIC)
messages = st.one_of(
    st.builds(
        lambda seq, place, valid, wrapped, check: KeyDelivery(seq, place, valid[0], valid[1], wrapped, check),
        seqs,
        places,
        validities,
        st.binary(min_size=24, max_size=24),
        checks,
    ),
    st.builds(ExchangeOffer, seqs, places, publics),
    st.builds(
        lambda seq, place, valid, check: ExchangeConfirm(seq, place, valid[0], valid[1], check),
        seqs,
        places,
        validities,
        checks,
    ),
    st.builds(KeyRevoke, seqs, places),
    st.builds(DeliveryAnswer, seqs, places, results, checks),
    st.builds(ExchangeAnswer, seqs, places, publics),
    st.builds(ExchangeResult, seqs, places, results, checks),
    st.builds(KeyReport, seqs, st.lists(st.builds(HeldKey, places, checks), max_size=8).map(tuple)),
    st.builds(RevokeAnswer, seqs, places, results),
)


@given(messages)
def test_every_message_is_read_as_it_was_written_and_fits_the_slowest_data_rate(message: Message) -> None:
    payload = message.encode(KEY, DEV_EUI)

    assert len(payload) <= MAX_PAYLOAD
    assert decode(payload, up=message.type >= 0x80) == message
    verify(payload, KEY, DEV_EUI)


@given(
    st.one_of(
        st.binary(max_size=60),
        st.builds(lambda kind, rest: bytes([kind]) + rest, st.sampled_from(sorted(MESSAGES)), st.binary(max_size=60)),
    ),
    st.booleans(),
)
def test_any_bytes_are_a_message_or_a_format_error(payload: bytes, up: bool) -> None:
    try:
        message = decode(payload, up)
    except FormatError:
        return
    assert message.encode(KEY, DEV_EUI)[:-8] == payload[:-8]


@given(messages, st.data())
def test_no_changed_bit_passes(message: Message, data: st.DataObject) -> None:
    payload = bytearray(message.encode(KEY, DEV_EUI))
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    payload[bit // 8] ^= 1 << bit % 8

    with pytest.raises(AuthenticationError):
        verify(bytes(payload), KEY, DEV_EUI)


def test_every_type_has_a_vector_that_stands_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    assert {payload[0] for payload in BYTES.values()} == set(MESSAGES)
    for name, payload in BYTES.items():
        assert f"`{payload.hex()}`" in text
        assert f"| 0x{payload[0]:02X} | {name} |" in text


@pytest.mark.parametrize("name", BYTES)
def test_the_vector_is_read_and_written_again(name: str) -> None:
    payload = BYTES[name]
    up = payload[0] >= 0x80
    keys = mac_keys(TRANSPORT)
    message = decode(payload, up)

    assert type(message).__name__ == name
    assert message.encode(keys.up if up else keys.down, DEV_EUI) == payload


@pytest.mark.parametrize("name", BYTES)
def test_the_mac_of_the_vector_is_the_cmac_that_is_described(name: str) -> None:
    payload = BYTES[name]
    cmac = CMAC(algorithms.AES(UP if payload[0] >= 0x80 else DOWN))
    cmac.update(DEV_EUI.bytes + payload[:-8])
    assert cmac.finalize()[:8] == payload[-8:]


def test_the_mac_keys_are_rfc_5869_written_out() -> None:
    for way, expected in (("down", DOWN), ("up", UP)):
        extracted = hmac.digest(bytes(32), TRANSPORT.reveal(), "sha256")
        info = f"mspan port 34 mac v1|{way}".encode()
        assert hmac.digest(extracted, info + b"\x01", "sha256")[:16] == expected
    assert DOWN != UP


def test_the_delivered_key_opens_with_rfc_3394_alone_and_has_the_check_value() -> None:
    delivery = decode(BYTES["KeyDelivery"], up=False)
    assert isinstance(delivery, KeyDelivery)
    key = aes_key_unwrap(TRANSPORT.reveal(), delivery.wrapped)

    assert key.hex() == VECTORS["delivered_key"]
    assert Key16(key).check_value() == delivery.check
    assert unwrap(TRANSPORT, delivery.wrapped) == Key16(key)


def test_wrapping_is_rfc_3394_section_4_1() -> None:
    kek, key = Key16(bytes(range(16))), Key16.parse("00112233445566778899AABBCCDDEEFF")
    wrapped = bytes.fromhex("1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5")

    assert wrap(kek, key) == wrapped
    assert unwrap(kek, wrapped) == key


@given(st.binary(max_size=40))
def test_what_was_not_wrapped_under_the_key_does_not_open(wrapped: bytes) -> None:
    with pytest.raises(AuthenticationError, match="does not open"):
        unwrap(TRANSPORT, wrapped)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("6bc1bee22e409f96e93d7e117393172a", "070a16b46b4d4144"),
        ("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411", "dfa66747de9ae630"),
    ],
)
def test_the_mac_is_rfc_4493_section_4(message: str, expected: str) -> None:
    octets = bytes.fromhex(message)
    verify(octets[8:] + bytes.fromhex(expected), Key16.parse("2b7e151628aed2a6abf7158809cf4f3c"), DevEUI(octets[:8]))


def test_all_that_is_not_authentic_looks_alike() -> None:
    payload = BYTES["KeyRevoke"]
    keys = mac_keys(TRANSPORT)
    refusals = set()
    for wrong in (
        (payload, keys.up, DEV_EUI),
        (payload, Key16(bytes(16)), DEV_EUI),
        (payload, keys.down, DevEUI.parse("70b3d57ed0061235")),
        (payload[:-1], keys.down, DEV_EUI),
        (b"", keys.down, DEV_EUI),
    ):
        with pytest.raises(AuthenticationError) as refused:
            verify(*wrong)
        refusals.add((type(refused.value), str(refused.value)))
    assert len(refusals) == 1


@pytest.mark.parametrize(
    "payload, up, kind",
    [
        (bytes(52), False, LimitExceeded),
        (b"\x01" + bytes(9), False, FormatError),
        (b"\x00" + bytes(11), False, UnsupportedVersion),
        (b"\x20" + bytes(11), False, UnsupportedVersion),
        (BYTES["KeyRevoke"], True, FormatError),
        (BYTES["RevokeAnswer"], False, FormatError),
        (BYTES["KeyRevoke"] + b"\x00", False, FormatError),
        (b"\x04\x00\x01\x0f" + bytes(8), False, FormatError),  # purpose 0
        (b"\x85\x00\x01\x11\x08" + bytes(8), True, FormatError),  # result 8
        (b"\x02\x00\x01\x11\x07" + bytes(40), False, FormatError),  # no such curve
        (b"\x84\x00\x01" + b"\x11\x00\x00\x00" * 9 + bytes(8), True, FormatError),  # nine keys
        (b"\x03\x00\x01\x11" + b"\x00\x00\x00\x05" * 2 + bytes(11), False, FormatError),  # never valid
    ],
)
def test_what_is_out_of_bounds_is_refused(payload: bytes, up: bool, kind: type[FormatError]) -> None:
    with pytest.raises(FormatError) as refused:
        decode(payload, up)
    assert type(refused.value) is kind


@pytest.mark.parametrize(
    "make",
    [
        lambda: Place(0, 0),
        lambda: Place(16, 0),
        lambda: Place(1, 8),
        lambda: Place(1, 0, 5),
        lambda: KeyRevoke(65_536, Place(1, 0)),
        lambda: KeyRevoke(-1, Place(1, 0)),
        lambda: ExchangeConfirm(1, Place(1, 0), 0, None, bytes(3)),
        lambda: ExchangeConfirm(1, Place(1, 0), None, 1 << 32, bytes(3)),
        lambda: ExchangeConfirm(1, Place(1, 0), 9, 8, bytes(3)),
        lambda: ExchangeConfirm(1, Place(1, 0), None, None, bytes(4)),
        lambda: KeyDelivery(1, Place(1, 0), None, None, bytes(23), bytes(3)),
        lambda: KeyReport(1, (HeldKey(Place(1, 0), bytes(3)),) * 9),
    ],
)
def test_a_message_that_cannot_be_written_cannot_be_made(make: Callable[[], object]) -> None:
    with pytest.raises(ValueOutOfRange):
        make()


@given(st.integers(0x10, 0xFF))
def test_a_place_is_one_byte(octet: int) -> None:
    assert Place.of(octet).octet == octet
