"""Root keys on their way to a concentrator: X25519, HKDF-SHA256 and AES key wrap (RFC 3394), so no broker sees one."""

from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from meterwire.errors import AuthenticationError, ValueOutOfRange
from meterwire.ids import DevEUI, Eui64
from meterwire.messages import WrappedKey

PURPOSES: Final = ("root", "nwk", "app")


def wrap(
    recipient_public: bytes,
    key: bytes,
    *,
    concentrator: Eui64,
    dev_eui: DevEUI,
    purpose: str,
    ephemeral_private: bytes,
) -> WrappedKey:
    """Wrap a 16-byte key for the concentrator that holds the private half of `recipient_public` (32 bytes).

    `ephemeral_private` is 32 fresh random bytes, used once. The result opens only for the same concentrator, device
    and purpose (one of PURPOSES: LoRaWAN root key, network or application session key). ValueOutOfRange.
    """
    info = _info(concentrator, dev_eui, purpose)
    if len(key) != 16:
        raise ValueOutOfRange(f"a key has 16 bytes, not {len(key)}")
    ephemeral = _private_key(ephemeral_private)
    try:
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient_public))
    except ValueError:
        raise ValueOutOfRange("the concentrator's public key is no X25519 key: let it announce its key again") from None
    epk = ephemeral.public_key().public_bytes_raw()
    return WrappedKey(epk=epk, wrapped=aes_key_wrap(_wrapping_key(shared, epk + recipient_public, info), key))


def unwrap(private: bytes, wrapped: WrappedKey, *, concentrator: Eui64, dev_eui: DevEUI, purpose: str) -> bytes:
    """The 16-byte key, with the concentrator's 32-byte private key.

    AuthenticationError when it was wrapped for another concentrator, device or purpose, or was changed.
    """
    info = _info(concentrator, dev_eui, purpose)
    own = _private_key(private)
    salt = wrapped.epk + own.public_key().public_bytes_raw()
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(wrapped.epk))
        key = aes_key_unwrap(_wrapping_key(shared, salt, info), wrapped.wrapped)
    except (InvalidUnwrap, ValueError):
        key = b""
    if len(key) != 16:
        raise AuthenticationError(
            f"the {purpose} key of {dev_eui.label} was changed, or wrapped for another concentrator or device:"
            " approve the concentrator's public key again"
        )
    return key


def public_key(private: bytes) -> bytes:
    """The 32-byte public half of a 32-byte private key. ValueOutOfRange for another length."""
    return _private_key(private).public_key().public_bytes_raw()


def fingerprint(public: bytes) -> str:
    """What two people compare when they approve a public key: 80 bits of its SHA-256 as `1a2b-3c4d-5e6f-7a8b-9c0d`."""
    digits = sha256(public).hexdigest()
    return "-".join(digits[at : at + 4] for at in range(0, 20, 4))


def _private_key(octets: bytes) -> X25519PrivateKey:
    try:
        return X25519PrivateKey.from_private_bytes(octets)
    except ValueError:
        raise ValueOutOfRange(f"an X25519 private key has 32 bytes, not {len(octets)}") from None


def _info(concentrator: Eui64, dev_eui: DevEUI, purpose: str) -> bytes:
    if purpose not in PURPOSES:
        raise ValueOutOfRange(f"the purpose of a transported key is one of {', '.join(PURPOSES)}, not '{purpose[:20]}'")
    return b"mspan root v1|" + concentrator.bytes + dev_eui.bytes + purpose.encode()


def _wrapping_key(shared: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 16, salt=salt, info=info).derive(shared)
