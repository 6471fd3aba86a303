"""Handing keys in without being able to read any: web workers seal them for the vault's public key.

ECIES with X25519, HKDF-SHA256 and AES-GCM. The portal's secret key goes into the derivation, so that somebody who can
only write to the database cannot plant a key.
"""

import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from meterwire.seal import Key16
from provisioning.derivation import derive
from provisioning.keys.context import INTAKE, context
from provisioning.keys.kek import KeyDamaged, VaultLocked
from provisioning.keys.models import DeviceKey

_PUBLIC_BYTES = 32
_NONCE = bytes(12)  # every message has a fresh key of its own


class Intake:
    """The public half: seals, never opens."""

    intake = True

    def __init__(self, public_key: bytes) -> None:
        self._public = public_key

    @classmethod
    def from_file(cls, path: Path) -> "Intake":
        """Read the `.pub` file that kek_init wrote. VaultLocked when it cannot be used."""
        return cls(public_key_in(path))

    def seal(self, row: DeviceKey, key: Key16) -> bytes:
        """The sealed form of `key` for the place that `row` names (it need not be saved yet)."""
        ephemeral = X25519PrivateKey.from_private_bytes(secrets.token_bytes(32))
        epk = ephemeral.public_key().public_bytes_raw()
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(self._public))
        cipher = AESGCM(_message_key(shared, epk + self._public))
        return bytes([INTAKE]) + epk + cipher.encrypt(_NONCE, key.reveal(), context(row, INTAKE))


def public_key_in(path: Path) -> bytes:
    """The vault's public key from the file that kek_init wrote. VaultLocked when it cannot be used."""
    try:
        public_key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        public_key = b""
    if len(public_key) != _PUBLIC_BYTES:
        raise VaultLocked(f"The vault's public key {path} cannot be used; manage.py kek_init writes it.")
    return public_key


def open_intake(private_key: bytes, row: DeviceKey) -> bytes:
    """The 16 bytes that were handed in. Raises KeyDamaged."""
    sealed = bytes(row.sealed)
    private = X25519PrivateKey.from_private_bytes(private_key)
    epk = sealed[1 : 1 + _PUBLIC_BYTES]
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(epk))
        cipher = AESGCM(_message_key(shared, epk + private.public_key().public_bytes_raw()))
        return cipher.decrypt(_NONCE, sealed[1 + _PUBLIC_BYTES :], context(row, INTAKE))
    except (InvalidTag, ValueError):
        raise KeyDamaged("A key that was handed in does not open here; hand it in again.") from None


def _message_key(shared: bytes, salt: bytes) -> bytes:
    authority = derive(settings.SECRET_KEY.encode(), "mspan intake authority v1")
    return derive(shared + authority, "mspan intake message v1", salt=salt)
