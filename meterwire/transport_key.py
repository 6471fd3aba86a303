"""Keys on their way to a concentrator, so that no broker sees one: ECDH, HKDF-SHA256 and AES key wrap (RFC 3394).

The recipient is the concentrator's X25519 key (32 octets) or its certificate's key (33 octets, meterwire.curves).
"""

from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from meterwire.curves import ENTROPY_BYTES, Curve, PrivateKey, PublicKey
from meterwire.errors import AuthenticationError, FormatError, ValueOutOfRange
from meterwire.ids import DevEUI, Eui64
from meterwire.messages import WrappedKey

PURPOSES: Final = ("root", "nwk", "app", "transport")
X25519_BYTES: Final = 32

_X25519: Final = b"\x01"  # what meterwire.curves puts before a bare X25519 key


def wrap(
    recipient_public: bytes,
    key: bytes,
    *,
    concentrator: Eui64,
    dev_eui: DevEUI,
    purpose: str,
    ephemeral_private: bytes,
) -> WrappedKey:
    """Wrap a 16-byte key for the concentrator that holds the private half of `recipient_public` (32 or 33 octets).

    `ephemeral_private` is `entropy_bytes(recipient_public)` fresh random bytes, used once. The result opens only for
    the same concentrator, device and purpose (one of PURPOSES: LoRaWAN root key, network or application session key,
    the concentrator's own key-transport key [0087]). ValueOutOfRange.
    """
    info = _info(concentrator, dev_eui, purpose)
    if len(key) != 16:
        raise ValueOutOfRange(f"a key has 16 bytes, not {len(key)}")
    recipient = _recipient(recipient_public)
    ephemeral = _ephemeral(recipient_public, recipient.curve, ephemeral_private)
    try:
        shared = ephemeral.exchange(recipient)
    except ValueOutOfRange:  # of small order
        raise ValueOutOfRange("the concentrator's public key is no X25519 key: let it announce its key again") from None
    epk = ephemeral.public.octets[-len(recipient_public) :]
    return WrappedKey(epk=epk, wrapped=aes_key_wrap(_wrapping_key(shared, epk + recipient_public, info), key))


def unwrap(
    private: bytes | PrivateKey, wrapped: WrappedKey, *, concentrator: Eui64, dev_eui: DevEUI, purpose: str
) -> bytes:
    """The 16-byte key, with the concentrator's 32-byte X25519 key or the private key of its certificate.

    AuthenticationError when it was wrapped for another concentrator, device, purpose or key, or was changed.
    """
    info = _info(concentrator, dev_eui, purpose)
    own = private if isinstance(private, PrivateKey) else _x25519(private)
    own_public = own.public.octets if own is private else own.public.octets[1:]
    try:
        if len(wrapped.epk) != len(own_public):
            raise FormatError("wrapped for a key of another kind")
        shared = own.exchange(_point(wrapped.epk))
        salt = wrapped.epk + own_public
        key = aes_key_unwrap(_wrapping_key(shared, salt, info), wrapped.wrapped)
    except (InvalidUnwrap, ValueError, FormatError):
        key = b""
    if len(key) != 16:
        raise AuthenticationError(
            f"the {purpose} key of {dev_eui.label} was changed, or wrapped for another concentrator or device:"
            " approve the concentrator's public key again"
        )
    return key


def entropy_bytes(recipient_public: bytes) -> int:
    """How many random bytes `wrap` takes for this recipient: 32 for X25519, 48 for a certificate's key."""
    return X25519_BYTES if len(recipient_public) == X25519_BYTES else ENTROPY_BYTES


def public_key(private: bytes) -> bytes:
    """The 32-byte public half of a 32-byte X25519 private key. ValueOutOfRange for another length."""
    return _x25519(private).public.octets[1:]


def fingerprint(public: bytes) -> str:
    """What two people compare when they approve a public key: 80 bits of its SHA-256 as `1a2b-3c4d-5e6f-7a8b-9c0d`."""
    digits = sha256(public).hexdigest()
    return "-".join(digits[at : at + 4] for at in range(0, 20, 4))


def _x25519(octets: bytes) -> PrivateKey:
    try:
        return PrivateKey(Curve.X25519, octets)
    except ValueOutOfRange:
        raise ValueOutOfRange(f"an X25519 private key has {X25519_BYTES} bytes, not {len(octets)}") from None


def _point(octets: bytes) -> PublicKey:
    """FormatError for what is no public key of 32 (X25519) or 33 octets."""
    return PublicKey(_X25519 + octets if len(octets) == X25519_BYTES else octets)


def _recipient(octets: bytes) -> PublicKey:
    try:
        return _point(octets)
    except FormatError as error:
        raise ValueOutOfRange(f"nothing can be wrapped for the concentrator's public key: {error}") from None


def _ephemeral(recipient_public: bytes, curve: Curve, entropy: bytes) -> PrivateKey:
    if len(recipient_public) == X25519_BYTES:
        return _x25519(entropy)
    return PrivateKey.generate(curve, entropy)


def _info(concentrator: Eui64, dev_eui: DevEUI, purpose: str) -> bytes:
    if purpose not in PURPOSES:
        raise ValueOutOfRange(f"the purpose of a transported key is one of {', '.join(PURPOSES)}, not '{purpose[:20]}'")
    return b"mspan root v1|" + concentrator.bytes + dev_eui.bytes + purpose.encode()


def _wrapping_key(shared: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), 16, salt=salt, info=info).derive(shared)
