"""Key-encryption keys: what wraps the data keys, kept outside the database. Providers share one small interface."""

import os
import secrets
import stat
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from meterwire.errors import AuthenticationError, MeterspanError
from provisioning.derivation import derive

KEK_BYTES: Final = 32
NONCE_BYTES: Final = 12


class VaultLocked(MeterspanError):
    """This process has no key-encryption key, or its file cannot be used, so it can open no device key."""

    code = "vault_locked"


class KeyDamaged(AuthenticationError):
    """A stored key does not open: changed, copied from another row, or sealed under another key-encryption key."""

    code = "key_damaged"


class KekProvider(Protocol):
    """A source of wrapping. `context` is authenticated: what was wrapped for one context opens for no other."""

    @property
    def kek_id(self) -> str:
        """Names the key-encryption key without telling anything about it; at most 40 characters."""

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """The wrapped form, at most 200 bytes."""

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The data key. Raises KeyDamaged."""

    def intake_private(self) -> bytes:
        """The X25519 private key (32 bytes) for keys handed in by processes without this provider."""


class FileKek:
    """32 random bytes in a file that only its owner can read; for the demo, tests and small installations."""

    def __init__(self, path: Path) -> None:
        """Raises VaultLocked when the file is missing, open to others, or of another length."""
        if reason := fault(path):
            raise VaultLocked(reason)
        kek = path.read_bytes()
        self._cipher = AESGCM(derive(kek, "mspan kek wrap v1"))
        self._intake = derive(kek, "mspan intake v1")
        self._id = "file:" + derive(kek, "mspan kek id v1", 8).hex()

    @property
    def kek_id(self) -> str:
        return self._id

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data_key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise KeyDamaged(
                "The data key does not open with this key-encryption key; restore the right one."
            ) from None

    def intake_private(self) -> bytes:
        return self._intake

    def __repr__(self) -> str:
        return f"FileKek({self._id})"


def fault(path: Path) -> str:
    """Why the file cannot serve as key-encryption key, in one sentence; empty when it can."""
    try:
        found = path.stat()
    except OSError as error:
        return f"The key-encryption key {path} cannot be read ({error.strerror}); create it with manage.py kek_init."
    if not stat.S_ISREG(found.st_mode) or found.st_size != KEK_BYTES:
        return f"The key-encryption key {path} must be a file of {KEK_BYTES} bytes, as manage.py kek_init makes it."
    if found.st_mode & 0o077:
        return f"The key-encryption key {path} is open to other users; set its mode to 0600."
    if not os.access(path, os.R_OK):
        return f"The key-encryption key {path} belongs to another user; run this process as that user."
    return ""


def create(path: Path) -> Path:
    """Make a new key-encryption key (mode 0600) and beside it `<name>.pub` for processes that only hand keys in.

    FileExistsError rather than overwriting: without the old one no stored key opens again.
    """
    _write(path, secrets.token_bytes(KEK_BYTES), 0o600)
    public = path.with_name(path.name + ".pub")
    private = X25519PrivateKey.from_private_bytes(FileKek(path).intake_private())
    _write(public, private.public_key().public_bytes_raw().hex().encode() + b"\n", 0o644)
    return public


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
