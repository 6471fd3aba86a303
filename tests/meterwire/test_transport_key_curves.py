"""Keys wrapped for the key of a concentrator's certificate; OpenSSL's own commands open them as well."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from meterwire.curves import SIGNING, Curve, PrivateKey
from meterwire.errors import AuthenticationError, FormatError, ValueOutOfRange
from meterwire.ids import DevEUI, GatewayEUI
from meterwire.messages import DeviceEntry, DevicesCommand, WrappedKey, decode_command, encode, ulid
from meterwire.transport_key import PURPOSES, entropy_bytes, public_key, unwrap, wrap

KEY = bytes(range(16))
HOUSE, DEVICE = GatewayEUI.parse("0016c001ff10a235"), DevEUI.parse("70b3d57ed0061234")
ENTROPY = bytes(range(48))
GROUPS = {Curve.P256: ec.SECP256R1(), Curve.BRAINPOOL: ec.BrainpoolP256R1()}
curves = st.sampled_from(sorted(SIGNING))


def certificate_key(curve: Curve = Curve.P256, seed: int = 1) -> PrivateKey:
    return PrivateKey.generate(curve, bytes([seed]) * 48)


def wrapped(recipient: PrivateKey, purpose: str = "root", entropy: bytes = ENTROPY) -> WrappedKey:
    return wrap(
        recipient.public.octets, KEY, concentrator=HOUSE, dev_eui=DEVICE, purpose=purpose, ephemeral_private=entropy
    )


def opened(private: bytes | PrivateKey, carried: WrappedKey, purpose: str = "root") -> bytes:
    return unwrap(private, carried, concentrator=HOUSE, dev_eui=DEVICE, purpose=purpose)


@given(curves, st.binary(min_size=48, max_size=48), st.sampled_from(PURPOSES))
@settings(max_examples=30)
def test_the_holder_of_the_certificate_opens_it(curve: Curve, entropy: bytes, purpose: str) -> None:
    carried = wrapped(certificate_key(curve), purpose, entropy)
    assert (len(carried.epk), len(carried.wrapped)) == (33, 24)
    assert opened(certificate_key(curve), carried, purpose) == KEY


@pytest.mark.parametrize("curve", sorted(SIGNING))
def test_openssl_opens_it_by_its_own_commands(curve: Curve, tmp_path: Path) -> None:
    recipient = certificate_key(curve)
    carried = wrapped(recipient)
    own = ec.derive_private_key(int.from_bytes(recipient.reveal()), GROUPS[curve])
    point = ec.EllipticCurvePublicKey.from_encoded_point(
        GROUPS[curve], bytes([carried.epk[0] & 0x0F]) + carried.epk[1:]
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    (tmp_path / "own").write_bytes(own.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (tmp_path / "peer").write_bytes(point.public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "wrapped").write_bytes(carried.wrapped)

    def openssl(*arguments: str) -> bytes:
        return subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True).stdout

    shared = openssl("pkeyutl", "-derive", "-inkey", "own", "-peerkey", "peer").hex()
    salt = (carried.epk + recipient.public.octets).hex()
    info = (b"mspan root v1|" + HOUSE.bytes + DEVICE.bytes + b"root").hex()
    options = [f"hexkey:{shared}", f"hexsalt:{salt}", f"hexinfo:{info}", "digest:SHA256"]
    derived = openssl(
        "kdf", "-keylen", "16", "-binary", *(p for one in options for p in ("-kdfopt", one)), "HKDF"
    ).hex()
    key = openssl("enc", "-d", "-id-aes128-wrap", "-K", derived, "-iv", "a6" * 8, "-in", "wrapped")
    assert key == KEY


@pytest.mark.parametrize(
    "curve, first",
    [(Curve.P256, (2, 3)), (Curve.BRAINPOOL, (0x12, 0x13)), (Curve.X25519, (1,))],
)
def test_the_ephemeral_key_is_on_the_recipients_curve(curve: Curve, first: tuple[int, ...]) -> None:
    assert wrapped(certificate_key(curve)).epk[0] in first


def test_nobody_else_opens_it_nor_the_same_concentrator_by_another_of_its_keys() -> None:
    carried = wrapped(certificate_key())
    strangers: tuple[bytes | PrivateKey, ...] = (
        certificate_key(seed=2),
        certificate_key(Curve.BRAINPOOL),
        bytes(range(32)),
    )
    for stranger in strangers:
        with pytest.raises(AuthenticationError):
            opened(stranger, carried)
    for_x25519 = wrap(
        public_key(bytes(range(32))),
        KEY,
        concentrator=HOUSE,
        dev_eui=DEVICE,
        purpose="root",
        ephemeral_private=bytes(range(1, 33)),
    )
    with pytest.raises(AuthenticationError):
        opened(certificate_key(), for_x25519)


@pytest.mark.parametrize("curve", sorted(SIGNING))
def test_every_change_of_a_single_bit_is_refused(curve: Curve) -> None:
    recipient = certificate_key(curve)
    good = wrapped(recipient)
    for bit in range(8 * 57):
        octets = bytearray(good.epk + good.wrapped)
        octets[bit // 8] ^= 1 << bit % 8
        with pytest.raises(AuthenticationError):
            opened(recipient, WrappedKey(epk=bytes(octets[:33]), wrapped=bytes(octets[33:])))


@given(st.binary(max_size=64), st.binary(max_size=64))
@settings(max_examples=50)
def test_no_bytes_raise_anything_but_our_error(epk: bytes, carried: bytes) -> None:
    with pytest.raises(AuthenticationError):
        opened(certificate_key(), WrappedKey(epk=epk, wrapped=carried))


def test_a_recipient_that_is_no_key_and_too_little_entropy_are_refused() -> None:
    for recipient, entropy in (
        (b"\x07" + bytes(32), ENTROPY),
        (b"\x02" + b"\xff" * 32, ENTROPY),
        (b"\x01" + bytes(32), ENTROPY),
        (bytes(34), ENTROPY),
        (certificate_key().public.octets, ENTROPY[:32]),
    ):
        with pytest.raises(ValueOutOfRange):
            wrap(recipient, KEY, concentrator=HOUSE, dev_eui=DEVICE, purpose="root", ephemeral_private=entropy)


def test_it_says_how_much_entropy_a_recipient_takes() -> None:
    assert entropy_bytes(public_key(bytes(range(32)))) == 32
    assert entropy_bytes(certificate_key().public.octets) == 48


def test_both_kinds_travel_in_one_device_entry() -> None:
    entry = DeviceEntry(
        "70b3d57ed0061234",
        "70b3d57ed0000001",
        root_key=wrapped(certificate_key()),
        transport_key=wrapped(certificate_key(), "transport"),
    )
    command = DevicesCommand(ulid(0, bytes(10)), "2026-11-27T00:00:00.000Z", revision=1, upsert=(entry,))
    assert decode_command(encode(command)) == command


@pytest.mark.parametrize("octets", [0, 31, 34, 1000])
def test_an_ephemeral_key_of_another_length_is_refused_when_it_arrives(octets: int) -> None:
    entry = DeviceEntry("70b3d57ed0061234", "70b3d57ed0000001", root_key=WrappedKey(bytes(octets), bytes(24)))
    command = DevicesCommand(ulid(0, bytes(10)), "2026-11-27T00:00:00.000Z", revision=1, upsert=(entry,))
    with pytest.raises(FormatError):
        decode_command(encode(command))
