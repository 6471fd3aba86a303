"""Secrets wrapped for a recipient's public key: CMS AuthEnvelopedData (RFC 5083, AES-256-GCM of RFC 5084) as PEM.

`openssl cms -decrypt -inform PEM -inkey KEY` opens it, and every library that knows CMS. RSA recipients by RSAES-OAEP
with SHA-256 (RFC 3560), elliptic curves by ephemeral ECDH (RFC 5753), both named by their key alone (RFC 5280 key id).
"""

import base64
import hashlib
import secrets
import struct
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from django.utils.translation import gettext as _

from provisioning.errors import Invalid
from provisioning.keys.der import bits, explicit, implicit, integer, octets, oid, sequence, sets

MAX_PEM: Final = 16_384
MAX_PAYLOAD: Final = 1 << 20
RSA_BITS: Final = range(2048, 8193)
CURVES: Final = ("secp256r1", "secp384r1", "secp521r1", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1")

_AUTH_ENVELOPED, _DATA = oid("1.2.840.113549.1.9.16.1.23"), oid("1.2.840.113549.1.7.1")
_AES256_GCM, _AES256_WRAP = oid("2.16.840.1.101.3.4.1.46"), oid("2.16.840.1.101.3.4.1.45")
_OAEP, _MGF1, _SHA256 = oid("1.2.840.113549.1.1.7"), oid("1.2.840.113549.1.1.8"), oid("2.16.840.1.101.3.4.2.1")
_ECDH_SHA256KDF = oid("1.3.132.1.11.1")

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


def recipient(pem: str) -> PublicKey:
    """The public key of a PEM: a public key or a certificate. Invalid("recipient", …) for anything else or too weak."""
    if not isinstance(pem, str) or len(pem) > MAX_PEM:
        raise Invalid("recipient", _("A public key has at most {limit} characters.").format(limit=MAX_PEM))
    try:
        raw = pem.strip().encode("ascii")
        certificate = raw.startswith(b"-----BEGIN CERTIFICATE-----")
        key = x509.load_pem_x509_certificate(raw).public_key() if certificate else load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        raise Invalid(
            "recipient", _("This is no public key and no certificate in PEM; ask the recipient for it.")
        ) from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES:
        return key
    raise Invalid(
        "recipient",
        _("Such a key cannot be used: RSA from {bits} bits or one of the curves {curves}.").format(
            bits=RSA_BITS.start, curves=", ".join(CURVES)
        ),
    )


def fingerprint(key: PublicKey) -> str:
    """SHA-256 over the SubjectPublicKeyInfo, 64 hex digits, for comparing with the recipient by word of mouth."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def wrap_for(key: PublicKey, payload: bytes) -> str:
    """`payload` (1 byte to 1 MB) as a PEM text that only the holder of the private key opens."""
    if not 1 <= len(payload) <= MAX_PAYLOAD:
        raise ValueError(f"a payload has 1 to {MAX_PAYLOAD} bytes")
    content_key, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
    sealed = AESGCM(content_key).encrypt(nonce, payload, None)
    gcm = sequence(_AES256_GCM, sequence(octets(nonce), integer(16)))
    info = _by_rsa(key, content_key) if isinstance(key, rsa.RSAPublicKey) else _by_ecdh(key, content_key)
    body = sequence(
        integer(0),
        sets(info),
        sequence(_DATA, gcm, implicit(0, sealed[:-16])),
        octets(sealed[-16:]),
    )
    text = base64.b64encode(sequence(_AUTH_ENVELOPED, explicit(0, body))).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN CMS-----\n{lines}\n-----END CMS-----\n"


def _by_rsa(key: rsa.RSAPublicKey, content_key: bytes) -> bytes:
    """KeyTransRecipientInfo."""
    sha256 = sequence(_SHA256)
    algorithm = sequence(_OAEP, sequence(explicit(0, sha256), explicit(1, sequence(_MGF1, sha256))))
    encrypted = key.encrypt(content_key, padding.OAEP(padding.MGF1(SHA256()), SHA256(), None))
    return sequence(integer(2), implicit(0, _key_id(key)), algorithm, octets(encrypted))


def _by_ecdh(key: ec.EllipticCurvePublicKey, content_key: bytes) -> bytes:
    """KeyAgreeRecipientInfo."""
    ephemeral = ec.generate_private_key(key.curve)
    shared = ephemeral.exchange(ec.ECDH(), key)
    wrap = sequence(_AES256_WRAP)
    # ECC-CMS-SharedInfo: what the key is for, and its length in bits.
    shared_info = sequence(wrap, explicit(2, octets(struct.pack(">I", 256))))
    wrapped = aes_key_wrap(X963KDF(SHA256(), 32, shared_info).derive(shared), content_key)
    point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    originator = explicit(0, implicit(1, sequence(oid("1.2.840.10045.2.1")) + bits(point), constructed=True))
    keys = sequence(sequence(implicit(0, octets(_key_id(key)), constructed=True), octets(wrapped)))
    return implicit(1, integer(3) + originator + sequence(_ECDH_SHA256KDF, wrap) + keys, constructed=True)


def _key_id(key: PublicKey) -> bytes:
    return x509.SubjectKeyIdentifier.from_public_key(key).digest
