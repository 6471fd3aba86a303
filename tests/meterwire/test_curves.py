"""Key pairs against RFC 7748 and against keys that `cryptography` makes; what is no key is refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from meterwire.curves import ENTROPY_BYTES, SIGNING, Curve, PrivateKey, PublicKey
from meterwire.errors import AuthenticationError, FormatError, ValueOutOfRange

entropy = st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES)
curves = st.sampled_from(Curve)
GROUPS = {Curve.P256: ec.SECP256R1(), Curve.BRAINPOOL: ec.BrainpoolP256R1()}


def test_x25519_agrees_with_rfc_7748_section_6_1() -> None:
    bob = PrivateKey(Curve.X25519, bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
    alice = PublicKey(b"\x01" + bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"))

    assert bob.public.octets[1:].hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    assert bob.exchange(alice).hex() == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"


@given(curves, entropy, entropy)
def test_both_sides_agree_on_one_secret(curve: Curve, one: bytes, two: bytes) -> None:
    here, there = PrivateKey.generate(curve, one), PrivateKey.generate(curve, two)

    assert here.exchange(PublicKey(there.public.octets)) == there.exchange(PublicKey(here.public.octets))
    assert PrivateKey(curve, here.reveal()).public == here.public


@pytest.mark.parametrize("curve", sorted(SIGNING))
def test_a_signature_is_one_that_others_accept(curve: Curve) -> None:
    key = PrivateKey.generate(curve, bytes(range(ENTROPY_BYTES)))
    signature = key.sign(b"a day")
    point = bytes([key.public.octets[0] & 0x0F]) + key.public.octets[1:]
    foreign = ec.EllipticCurvePublicKey.from_encoded_point(GROUPS[curve], point)

    der = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
    foreign.verify(der, b"a day", ec.ECDSA(SHA256()))
    key.public.verify(signature, b"a day")


@given(st.sampled_from(sorted(SIGNING)), entropy, st.integers(0, 511))
def test_no_changed_signature_is_accepted(curve: Curve, random: bytes, bit: int) -> None:
    key = PrivateKey.generate(curve, random)
    changed = bytearray(key.sign(b"a day"))
    changed[bit // 8] ^= 1 << bit % 8

    with pytest.raises(AuthenticationError):
        key.public.verify(bytes(changed), b"a day")


@pytest.mark.parametrize(
    "octets, words",
    [
        (b"", "33 octets, not 0"),
        (bytes(32), "33 octets, not 32"),
        (b"\x07" + bytes(32), "names no curve"),
        (b"\x02" + b"\xff" * 32, "no point of p-256"),
        (b"\x13" + b"\xff" * 32, "no point of brainpoolP256r1"),
    ],
)
def test_what_is_no_public_key_is_refused(octets: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        PublicKey(octets)


def test_a_key_of_small_order_and_one_of_another_curve_give_no_secret() -> None:
    key = PrivateKey.generate(Curve.X25519, bytes(range(ENTROPY_BYTES)))

    with pytest.raises(ValueOutOfRange, match="small order"):
        key.exchange(PublicKey(b"\x01" + bytes(32)))
    with pytest.raises(ValueOutOfRange, match="cannot be used"):
        key.exchange(PrivateKey.generate(Curve.P256, bytes(range(ENTROPY_BYTES))).public)


@given(curves, entropy)
def test_a_private_key_shows_itself_nowhere(curve: Curve, random: bytes) -> None:
    key = PrivateKey.generate(curve, random)
    assert key.reveal().hex() not in repr(key)
    assert "hidden" in repr(key)


def test_numbers_outside_the_curve_are_no_private_keys() -> None:
    for octets in (bytes(32), b"\xff" * 32):
        with pytest.raises(ValueOutOfRange, match="no private key"):
            PrivateKey(Curve.P256, octets)
    with pytest.raises(ValueOutOfRange, match="32 octets"):
        PrivateKey(Curve.X25519, bytes(31))
    with pytest.raises(ValueOutOfRange, match="48 random octets"):
        PrivateKey.generate(Curve.P256, bytes(32))
    with pytest.raises(ValueOutOfRange, match="signs nothing"):
        PrivateKey.generate(Curve.X25519, bytes(range(ENTROPY_BYTES))).sign(b"a day")
