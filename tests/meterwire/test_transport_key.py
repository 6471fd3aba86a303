"""Root keys travel wrapped for one concentrator, one device and one purpose, and open for nobody else."""

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from hypothesis import given, settings
from hypothesis import strategies as st

from meterwire.errors import AuthenticationError, ValueOutOfRange
from meterwire.ids import DevEUI, GatewayEUI
from meterwire.messages import WrappedKey
from meterwire.transport_key import PURPOSES, fingerprint, public_key, unwrap, wrap

PRIVATE, EPHEMERAL, KEY = bytes(range(32)), bytes(range(1, 33)), bytes(range(16))
HOUSE, DEVICE = GatewayEUI.parse("0016c001ff10a235"), DevEUI.parse("70b3d57ed0061234")


def wrapped(purpose: str = "root") -> WrappedKey:
    return wrap(
        public_key(PRIVATE), KEY, concentrator=HOUSE, dev_eui=DEVICE, purpose=purpose, ephemeral_private=EPHEMERAL
    )


@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_concentrator_opens_what_was_wrapped_for_it(purpose: str) -> None:
    assert unwrap(PRIVATE, wrapped(purpose), concentrator=HOUSE, dev_eui=DEVICE, purpose=purpose) == KEY


def test_no_key_bytes_travel_in_the_clear_and_each_purpose_looks_different() -> None:
    carried = [wrapped(purpose) for purpose in PURPOSES]
    assert all(KEY not in carrier.wrapped + carrier.epk for carrier in carried)
    assert len({carrier.wrapped for carrier in carried}) == len(PURPOSES)


def test_nobody_else_opens_it() -> None:
    for private, house, device, purpose in (
        (EPHEMERAL, HOUSE, DEVICE, "root"),
        (PRIVATE, GatewayEUI(bytes(8)), DEVICE, "root"),
        (PRIVATE, HOUSE, DevEUI(bytes(8)), "root"),
        (PRIVATE, HOUSE, DEVICE, "nwk"),
    ):
        with pytest.raises(AuthenticationError, match="approve the concentrator's public key again"):
            unwrap(private, wrapped(), concentrator=house, dev_eui=device, purpose=purpose)


def test_every_change_of_a_single_bit_is_refused() -> None:
    good = wrapped()
    for bit in range(8 * 56):
        octets = bytearray(good.epk + good.wrapped)
        octets[bit // 8] ^= 1 << bit % 8
        with pytest.raises(AuthenticationError):
            unwrap(
                PRIVATE,
                WrappedKey(epk=bytes(octets[:32]), wrapped=bytes(octets[32:])),
                concentrator=HOUSE,
                dev_eui=DEVICE,
                purpose="root",
            )


@given(st.binary(max_size=64), st.binary(max_size=64))
@settings(max_examples=50)
def test_no_bytes_raise_anything_but_our_error(epk: bytes, carried: bytes) -> None:
    with pytest.raises(AuthenticationError):
        unwrap(PRIVATE, WrappedKey(epk=epk, wrapped=carried), concentrator=HOUSE, dev_eui=DEVICE, purpose="root")


def test_points_of_small_order_are_refused_on_both_sides() -> None:
    zero = bytes(32)
    with pytest.raises(AuthenticationError):
        unwrap(
            PRIVATE,
            WrappedKey(epk=zero, wrapped=aes_key_wrap(bytes(16), KEY)),
            concentrator=HOUSE,
            dev_eui=DEVICE,
            purpose="root",
        )
    with pytest.raises(ValueOutOfRange, match="no X25519 key"):
        wrap(zero, KEY, concentrator=HOUSE, dev_eui=DEVICE, purpose="root", ephemeral_private=EPHEMERAL)


def test_lengths_and_purposes_are_checked() -> None:
    public = public_key(PRIVATE)
    for recipient, key, purpose, ephemeral in (
        (public[1:], KEY, "root", EPHEMERAL),
        (public, KEY[1:], "root", EPHEMERAL),
        (public, KEY, "inner", EPHEMERAL),
        (public, KEY, "root", EPHEMERAL[1:]),
    ):
        with pytest.raises(ValueOutOfRange):
            wrap(recipient, key, concentrator=HOUSE, dev_eui=DEVICE, purpose=purpose, ephemeral_private=ephemeral)
    with pytest.raises(ValueOutOfRange):
        unwrap(PRIVATE[1:], wrapped(), concentrator=HOUSE, dev_eui=DEVICE, purpose="root")


def test_a_fingerprint_is_short_enough_to_read_out() -> None:
    text = fingerprint(public_key(PRIVATE))
    assert [len(group) for group in text.split("-")] == [4] * 5
    assert text != fingerprint(public_key(EPHEMERAL))
