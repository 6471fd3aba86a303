"""The file of a backup: a ZIP whose authenticated manifest names every member with its length and SHA-256."""

import hashlib
import hmac
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec

from portal.ops.backup.errors import BackupDamaged, BackupError

MANIFEST, MAC = "manifest.json", "manifest.mac"
MAX_MANIFEST: Final = 64 << 20
CHUNK: Final = 1 << 20
_DAMAGED = "This is no whole backup of this installation: it was cut or changed, or its secret key is another one."


class Member(msgspec.Struct, frozen=True):
    """One file in the backup."""

    name: str
    bytes: int
    sha256: str


class Writer:
    """Writes beside `path` and moves the file there when all of it is on the disk; nothing remains of a failed one."""

    def __init__(self, path: Path, key: bytes) -> None:
        """BackupError when there is a file already. The file is readable by its owner only."""
        if path.exists():
            raise BackupError(f"{path} exists and is kept; choose another name.")
        self._path, self._part, self._key = path, path.with_name(path.name + ".part"), key
        self._members: list[Member] = []
        descriptor = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file = os.fdopen(descriptor, "w+b")
        self._zip = zipfile.ZipFile(self._file, "w", allowZip64=True)

    def add(self, name: str, chunks: Iterable[bytes], *, compress: bool = False) -> Member:
        """One member, streamed."""
        digest, length = hashlib.sha256(), 0
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        info.external_attr = 0o600 << 16
        with self._zip.open(info, "w", force_zip64=True) as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                length += len(chunk)
        member = Member(name, length, digest.hexdigest())
        self._members.append(member)
        return member

    def finish(self, facts: dict[str, Any]) -> None:
        """Close it with a manifest of `facts` and all members."""
        manifest = msgspec.json.encode({**facts, "members": self._members})
        self._zip.writestr(MANIFEST, manifest)
        self._zip.writestr(MAC, _mac(self._key, manifest))
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.rename(self._path)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a full disk takes no end of the file either
            self._zip.close()
        with suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)


class Archive:
    """A backup whose every byte was checked when it was opened; `facts` is its manifest."""

    def __init__(self, file: zipfile.ZipFile, manifest: bytes, members: list[Member]) -> None:
        self._zip = file
        self.facts: dict[str, Any] = msgspec.json.decode(manifest)
        self.members = {member.name: member for member in members}

    @classmethod
    @contextmanager
    def open(cls, path: Path, key: bytes) -> "Iterator[Archive]":
        """BackupError when it cannot be read, BackupDamaged when it is not as it was made with this key."""
        try:
            file = zipfile.ZipFile(path)
        except OSError as error:
            raise BackupError(f"{path} cannot be read: {error.strerror}") from None
        except zipfile.BadZipFile:
            raise BackupDamaged(_DAMAGED) from None
        with file:
            yield cls._checked(file, key)

    def read(self, name: str) -> Iterator[bytes]:
        """The content of a member."""
        with self._zip.open(name) as file:
            while chunk := file.read(CHUNK):
                yield chunk

    @classmethod
    def _checked(cls, file: zipfile.ZipFile, key: bytes) -> "Archive":
        try:
            if file.getinfo(MANIFEST).file_size > MAX_MANIFEST:
                raise BackupDamaged(_DAMAGED)
            manifest, mac = file.read(MANIFEST), file.read(MAC)
            if not hmac.compare_digest(mac, _mac(key, manifest)):
                raise BackupDamaged(_DAMAGED)
            members = msgspec.convert(msgspec.json.decode(manifest)["members"], list[Member])
            archive = cls(file, manifest, members)
            names = sorted([*archive.members, MANIFEST, MAC])
            if sorted(info.filename for info in file.infolist()) != names or not all(map(archive._whole, members)):
                raise BackupDamaged(_DAMAGED)
        except (KeyError, OSError, EOFError, NotImplementedError, ValueError, zipfile.BadZipFile, zlib.error):
            raise BackupDamaged(_DAMAGED) from None
        return archive

    def _whole(self, member: Member) -> bool:
        digest, length = hashlib.sha256(), 0
        for chunk in self.read(member.name):
            digest.update(chunk)
            length += len(chunk)
            if length > member.bytes:
                return False
        return length == member.bytes and hmac.compare_digest(digest.hexdigest(), member.sha256)


def chunks_of(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """What a file's `read` gives, in chunks."""
    while chunk := read(CHUNK):
        yield chunk


def _mac(key: bytes, manifest: bytes) -> bytes:
    return hmac.new(key, manifest, hashlib.sha256).hexdigest().encode()
