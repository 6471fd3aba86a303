"""Wrapped for a recipient: openssl opens what we wrapped, and nobody else's key does."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from provisioning.errors import Invalid
from provisioning.keys.der import integer, octets, oid
from provisioning.keys.recipients import CURVES, MAX_PAYLOAD, MAX_PEM, fingerprint, recipient, wrap_for

PAYLOAD = b'{"key": "000102030405060708090a0b0c0d0e0f"}'


def openssl(*arguments: str, given: str = "") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *arguments], input=given.encode(), capture_output=True, check=False)


def made(folder: Path, *arguments: str) -> tuple[Path, str]:
    """A key pair of openssl's: the private key's file and the public PEM."""
    private = folder / "private.pem"
    assert openssl("genpkey", *arguments, "-out", str(private)).returncode == 0
    return private, openssl("pkey", "-in", str(private), "-pubout").stdout.decode()


def opened(private: Path, wrapped: str) -> subprocess.CompletedProcess[bytes]:
    return openssl("cms", "-decrypt", "-binary", "-inform", "PEM", "-inkey", str(private), given=wrapped)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
        *[("-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{name}") for name in ("prime256v1", *CURVES[1:])],
    ],
    ids=lambda arguments: arguments[-1],
)
def test_openssl_opens_it_with_the_private_key_alone(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    private, public = made(tmp_path, *arguments)
    wrapped = wrap_for(recipient(public), PAYLOAD)

    assert opened(private, wrapped).stdout == PAYLOAD
    assert PAYLOAD.hex() not in wrapped
    assert wrap_for(recipient(public), PAYLOAD) != wrapped


def test_a_certificate_serves_as_well_as_its_public_key(tmp_path: Path) -> None:
    private, public = made(tmp_path, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    certificate = openssl("req", "-x509", "-key", str(private), "-subj", "/CN=gateway administrator").stdout.decode()

    assert fingerprint(recipient(certificate)) == fingerprint(recipient(public))
    assert opened(private, wrap_for(recipient(certificate), PAYLOAD)).stdout == PAYLOAD


def test_another_key_or_a_changed_byte_opens_nothing(tmp_path: Path) -> None:
    private, public = made(tmp_path, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    (tmp_path / "other").mkdir()
    other, _public = made(tmp_path / "other", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    wrapped = wrap_for(recipient(public), PAYLOAD)
    lines = wrapped.splitlines()
    lines[-2] = lines[-2][:4] + ("A" if lines[-2][4] != "A" else "B") + lines[-2][5:]

    assert opened(other, wrapped).returncode != 0
    assert opened(private, "\n".join(lines) + "\n").returncode != 0


def test_a_large_payload_opens_too(tmp_path: Path) -> None:
    private, public = made(tmp_path, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    assert opened(private, wrap_for(recipient(public), bytes(MAX_PAYLOAD))).stdout == bytes(MAX_PAYLOAD)
    with pytest.raises(ValueError, match="bytes"):
        wrap_for(recipient(public), bytes(MAX_PAYLOAD + 1))


def test_the_fingerprint_is_that_of_openssl(tmp_path: Path) -> None:
    private, public = made(tmp_path, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    der = openssl("pkey", "-in", str(private), "-pubout", "-outform", "DER").stdout
    digest = subprocess.run(["openssl", "sha256", "-r"], input=der, capture_output=True, check=True).stdout
    assert fingerprint(recipient(public)) == digest.split()[0].decode()


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "nonsense",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "schlüssel",
        "x" * (MAX_PEM + 1),
    ],
)
def test_what_is_no_public_key_is_refused_by_field(pem: str) -> None:
    with pytest.raises(Invalid) as refused:
        recipient(pem)
    assert refused.value.field == "recipient"


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),
        ec.generate_private_key(ec.SECP224R1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["rsa 1024", "secp224r1", "ed25519"],
)
def test_weak_keys_and_keys_for_signing_are_refused(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with pytest.raises(Invalid, match="cannot be used"):
        recipient(pem)


def test_a_private_key_is_not_taken_for_a_public_one() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(Invalid) as refused:
        recipient(pem)
    assert "PRIVATE" not in str(refused.value)


@pytest.mark.parametrize(
    "written, expected",
    [
        (integer(0), "020100"),
        (integer(128), "02020080"),
        (octets(bytes(200)), "0481c8" + "00" * 200),
        (oid("1.2.840.113549.1.1.7"), "06092a864886f70d010107"),  # RFC 8017, id-RSAES-OAEP
    ],
)
def test_elements_are_written_as_x690_says(written: bytes, expected: str) -> None:
    assert written.hex() == expected
