"""SQLite's own online backup, out of the database and back into it."""

import sqlite3
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from django.db import connection

from portal.ops.backup.archive import chunks_of
from portal.ops.backup.errors import BackupError, RestoreFailed

MEMBER: Final = "database.sqlite3.z"
BUSY_S: Final = 20


@contextmanager
def copy() -> Iterator[Path]:
    """A copy of the database at one moment, in a folder of its own that goes with it."""
    with _folder() as folder:
        target = folder / "copy.sqlite3"
        with closing(_connect(_path())) as source, closing(_connect(target)) as made:
            source.backup(made)
        yield target


def dump(path: Path) -> Iterator[bytes]:
    """The copy, compressed."""
    deflate = zlib.compressobj(6)
    with path.open("rb") as file:
        for chunk in chunks_of(file.read):
            yield deflate.compress(chunk)
    yield deflate.flush()


def load(chunks: Iterable[bytes]) -> None:
    """Overwrite the database with what was dumped, in one transaction. RestoreFailed: nothing has changed."""
    connection.close()
    with _folder() as folder:
        source_path = folder / "restored.sqlite3"
        inflate = zlib.decompressobj()
        with source_path.open("wb") as file:
            for chunk in chunks:
                file.write(inflate.decompress(chunk))
            file.write(inflate.flush())
        try:
            with closing(_connect(source_path)) as source, closing(_connect(_path())) as target:
                (verdict,) = source.execute("PRAGMA quick_check").fetchone()
                if verdict != "ok":
                    raise sqlite3.DatabaseError(verdict)
                source.backup(target)
        except sqlite3.Error as error:
            raise RestoreFailed(
                f"SQLite refused ({error}), and the database is as it was before;"
                " end everything that uses the database, then try again."
            ) from None


def _path() -> Path:
    name = str(connection.settings_dict["NAME"])
    if not name or ":memory:" in name or "mode=memory" in name:
        raise BackupError("A database in memory has no backup.")
    return Path(name)


@contextmanager
def _folder() -> Iterator[Path]:
    """Beside the database, where there is room for it; readable by its owner only."""
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=_path().parent) as name:
        yield Path(name)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_S)
