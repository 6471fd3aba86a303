"""Makes a backup."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from portal.ops.backup import postgres, sqlite
from portal.ops.backup.archive import Writer, chunks_of
from portal.ops.backup.facts import counted, facts, tables
from provisioning.derivation import derive

MEDIA, INTAKE = "media/", "intake"


def make(out: Path) -> dict[str, Any]:
    """Write the backup to `out`, which must not exist; returns its facts. Raises BackupError, OSError."""
    with Writer(out, key()) as writer:
        if connection.vendor == "postgresql":
            with postgres.snapshot() as name:
                found = facts(counted())
                writer.add(postgres.MEMBER, postgres.dump(name))
        else:
            with sqlite.copy() as path:
                found = facts(_counts_in(path))
                writer.add(sqlite.MEMBER, sqlite.dump(path))
        for path in _photos():
            writer.add(MEDIA + path.relative_to(settings.MEDIA_ROOT).as_posix(), _content(path))
        intake = Path(settings.PKCS11["intake_file"] or "-")
        if intake.is_file():
            writer.add(INTAKE, _content(intake))  # wrapped by the key-encryption key
        writer.finish(found)
    return found


def key() -> bytes:
    """What a backup is authenticated with: whoever has the installation's secret key can check it."""
    return derive(settings.SECRET_KEY.encode(), "mspan backup v1")


def _photos() -> Iterator[Path]:
    root = Path(settings.MEDIA_ROOT)
    yield from sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def _content(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from chunks_of(file.read)


def _counts_in(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as copied:
        return {
            table: int(copied.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])  # noqa: S608
            for table in tables()
        }
