"""The key-encryption key as a file."""

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from provisioning.derivation import derive
from provisioning.keys.providers.base import NONCE_BYTES, VaultLocked, damaged
from provisioning.keys.providers.public import write_once, write_public

KEK_BYTES: Final = 32


class FileKek:
    """32 random bytes in a file that only its owner can read; for the demo, tests and small installations."""

    def __init__(self, path: Path) -> None:
        """Raises VaultLocked when the file is missing, open to others, or of another length."""
        if reason := fault(path):
            raise VaultLocked(reason)
        kek = path.read_bytes()
        self._cipher = AESGCM(derive(kek, "mspan kek wrap v1"))
        self._check_value = Cipher(AES(kek), ECB()).encryptor().update(bytes(16))[:3].hex()  # noqa: S305
        self._intake = derive(kek, "mspan intake v1")
        self._id = "file:" + derive(kek, "mspan kek id v1", 8).hex()

    @property
    def kek_id(self) -> str:
        return self._id

    @property
    def check_value(self) -> str:
        return self._check_value

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data_key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise damaged() from None

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
    write_once(path, secrets.token_bytes(KEK_BYTES), 0o600)
    return write_public(path, FileKek(path))
