"""Secrets at rest on a device: AES-GCM under one device credential, owner-only, replaced atomically."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from meterwire.errors import AuthenticationError, MeterspanError

CREDENTIAL_NAME = "meterspan"  # LoadCredential=meterspan:… in the systemd unit
MIN_CREDENTIAL_BYTES, MAX_CREDENTIAL_BYTES = 16, 4096
MAX_SEALED_BYTES = 4 * 1024 * 1024

_MAGIC = b"MSPAN1"
_NONCE_BYTES = 12


class SealedFileError(MeterspanError):
    """A credential or sealed file cannot be used: permissions, damage or another device's credential."""

    code = "sealed_file"


class SealedFileUnreadable(SealedFileError, AuthenticationError):
    """The content does not open: damaged, moved from another device, or sealed for another purpose."""

    code = "sealed_file_unreadable"


class Credential:
    """The device's one secret, from which a key per purpose is derived; hidden everywhere."""

    __slots__ = ("_sealers", "_secret")

    def __init__(self, secret: bytes) -> None:
        if not MIN_CREDENTIAL_BYTES <= len(secret) <= MAX_CREDENTIAL_BYTES:
            raise SealedFileError(
                f"the device credential has {len(secret)} bytes; "
                f"it needs {MIN_CREDENTIAL_BYTES} to {MAX_CREDENTIAL_BYTES}"
            )
        self._secret = secret
        self._sealers: dict[str, AESGCM] = {}

    def seal(self, content: bytes, purpose: str, context: bytes = b"") -> bytes:
        """`content` encrypted and authenticated; it opens only with the same purpose and context."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._sealer(purpose).encrypt(nonce, content, context)

    def open(self, sealed: bytes, purpose: str, context: bytes = b"") -> bytes:
        """The content of `seal`. Raises SealedFileUnreadable."""
        try:
            return self._sealer(purpose).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise SealedFileUnreadable(
                f"sealed content ({purpose}) does not open: it is damaged or belongs to another device's credential"
            ) from None

    def __repr__(self) -> str:
        return "Credential(hidden)"

    def _sealer(self, purpose: str) -> AESGCM:
        sealer = self._sealers.get(purpose)
        if sealer is None:
            label = f"mspan seal v1|{purpose}".encode()
            sealer = AESGCM(HKDF(SHA256(), 32, None, label).derive(self._secret))
            self._sealers[purpose] = sealer
        return sealer


class SealedFile:
    """One sealed file. `purpose` is bound to the content, so that two files cannot be exchanged."""

    def __init__(self, path: Path, credential: Credential, purpose: str) -> None:
        self.path = path
        self._credential = credential
        self._purpose = purpose

    def read(self) -> bytes | None:
        """The content, None when there is no file. Raises SealedFileError."""
        try:
            body = read_owner_only(self.path, MAX_SEALED_BYTES)
        except FileNotFoundError:
            return None
        if not body.startswith(_MAGIC):
            raise SealedFileUnreadable(f"{self.path} is no sealed file; restore it or provision the device again")
        try:
            return self._credential.open(body[len(_MAGIC) :], self._purpose)
        except SealedFileUnreadable:
            raise SealedFileUnreadable(
                f"{self.path} does not open: it is damaged or was sealed under another credential; "
                "restore both from one backup or provision the device again"
            ) from None

    def write(self, content: bytes) -> None:
        """Replace the content durably; after a crash the file holds either the old or the new."""
        replace(self.path, _MAGIC + self._credential.seal(content, self._purpose))


def load_credential(path: Path, name: str = CREDENTIAL_NAME) -> Credential:
    """systemd's credential `name` where there is one, else the owner-only file `path`, made when absent.

    Raises SealedFileError for a file that group or others can read.
    """
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if directory and (provided := Path(directory, name)).is_file():
        return Credential(provided.read_bytes())
    try:
        return Credential(read_owner_only(path, MAX_CREDENTIAL_BYTES))
    except FileNotFoundError:
        replace(path, secrets.token_bytes(32))
        return Credential(read_owner_only(path, MAX_CREDENTIAL_BYTES))


def read_owner_only(path: Path, limit: int) -> bytes:
    """The content of a file that nobody else may read.

    Raises FileNotFoundError when absent, SealedFileError when others can read it or it is over `limit` bytes.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise SealedFileError(f"{path} has mode {mode:04o} and is open to others; run: chmod 600 {path}")
            body = file.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SealedFileError(f"{path} cannot be read ({error.strerror})") from None
    if len(body) > limit:
        raise SealedFileError(f"{path} is over {limit} bytes")
    return body


def replace(path: Path, content: bytes) -> None:
    """Write an owner-only file atomically and durably: temporary file, fsync, rename, fsync of the folder."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise SealedFileError(
            f"{path} cannot be written ({error.strerror}); free space or correct permissions"
        ) from None


def sweep(folder: Path) -> None:
    """Remove what writes that were cut off have left in a folder to which nobody else writes now."""
    for left in folder.glob(".*.new"):
        with suppress(OSError):  # it only takes room
            left.unlink()


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
