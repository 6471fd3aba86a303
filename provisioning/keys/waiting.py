"""Keys that wait for their adapter: sealed for organisation and DevEUI before the adapter is registered.

As in the intake only the vault opens them, but one exchange serves all keys of a supplier's file: each message has a
random nonce of its own under the key of that exchange.
"""

import secrets
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from provisioning.derivation import derive
from provisioning.keys import kek
from provisioning.keys.context import WAITING
from provisioning.keys.intake import public_key_in
from provisioning.keys.kek import KeyDamaged, VaultLocked
from provisioning.keys.providers.public import intake_public

_EPK_END: Final = 1 + 32
_NONCE_END: Final = _EPK_END + 12
SEALED_KEY_BYTES: Final = _NONCE_END + 16 + 16  # form, ephemeral public key, nonce, key, tag


class WaitingSealer:
    """Seals what one upload brings; holds no private key and forgets its ephemeral one."""

    def __init__(self, public_key: bytes) -> None:
        ephemeral = X25519PrivateKey.generate()
        epk = ephemeral.public_key().public_bytes_raw()
        shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public_key))
        self._cipher = AESGCM(_key(shared, epk + public_key))
        self._head = bytes([WAITING]) + epk

    def seal(self, secret: bytes, context: bytes) -> bytes:
        """The sealed form of `secret` for the place that `context` names; it opens for no other."""
        nonce = secrets.token_bytes(12)
        return self._head + nonce + self._cipher.encrypt(nonce, secret, context)


def open_waiting(private_key: bytes, sealed: bytes, context: bytes) -> bytes:
    """What was sealed for that place. Raises KeyDamaged."""
    private = X25519PrivateKey.from_private_bytes(private_key)
    epk = sealed[1:_EPK_END]
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(epk))
        cipher = AESGCM(_key(shared, epk + private.public_key().public_bytes_raw()))
        return cipher.decrypt(sealed[_EPK_END:_NONCE_END], sealed[_NONCE_END:], context)
    except (InvalidTag, ValueError):
        raise KeyDamaged("An imported key does not open here; import its adapter's file again.") from None


def waiting_sealer() -> WaitingSealer:
    """What this process seals imported keys with. Raises VaultLocked when it was given neither public key nor KEK."""
    if settings.KEK_PUBLIC_FILE:
        return WaitingSealer(public_key_in(Path(settings.KEK_PUBLIC_FILE)))
    if not kek.held():
        raise VaultLocked("This process can put no keys away; set MSPAN_KEK_PUBLIC_FILE for it.")
    return WaitingSealer(intake_public(kek.current()))


def _key(shared: bytes, salt: bytes) -> bytes:
    authority = derive(settings.SECRET_KEY.encode(), "mspan intake authority v1")
    return derive(shared + authority, "mspan waiting message v1", salt=salt)
