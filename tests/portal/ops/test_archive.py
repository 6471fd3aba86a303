"""The file of a backup: whatever is changed in it is noticed, and what it is of is compared with what is here."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from portal.ops.backup.archive import MANIFEST, Archive, Writer
from portal.ops.backup.errors import BackupDamaged, BackupError
from portal.ops.backup.facts import FORM, fits

KEY = bytes(range(32))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return written(tmp_path / "backup.zip", KEY)


def written(path: Path, key: bytes) -> Path:
    with Writer(path, key) as writer:
        writer.add("database.dump", [b"rows " * 1000, b"more rows"])
        writer.add("media/1.jpg", [b"a photo"], compress=True)
        writer.finish({"form": FORM})
    return path


def test_what_was_written_is_read(saved: Path) -> None:
    with Archive.open(saved, KEY) as archive:
        assert b"".join(archive.read("database.dump")) == b"rows " * 1000 + b"more rows"
        assert b"".join(archive.read("media/1.jpg")) == b"a photo"
        assert archive.facts["form"] == FORM
    assert saved.stat().st_mode & 0o777 == 0o600


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Writer(tmp_path / "never.zip", KEY) as writer:
        writer.add("database.dump", map(_broken, [1]))
    assert list(tmp_path.iterdir()) == []


def _flip(path: Path, where: Callable[[bytes], int]) -> None:
    content = bytearray(path.read_bytes())
    content[where(bytes(content))] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK" + bytes(1000)),
        lambda path: _flip(path, lambda content: len(content) // 2),
        lambda path: _flip(path, lambda _content: 200),
        lambda path: _flip(path, lambda content: content.rindex(MANIFEST.encode())),
    ],
    ids=["one byte short", "half", "empty", "nonsense", "changed in the middle", "at the start", "in the directory"],
)
def test_a_damaged_file_is_refused(saved: Path, harm: Callable[[Path], object]) -> None:
    harm(saved)
    with pytest.raises(BackupDamaged, match="cut or changed"), Archive.open(saved, KEY):
        pass


def test_every_changed_byte_of_a_member_and_of_the_manifest_is_noticed(saved: Path) -> None:
    content = saved.read_bytes()
    for text in (b"rows rows", b"more rows", b'{"form"', b'"members"'):
        at = content.index(text)
        for place in range(at, at + len(text)):
            saved.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            with pytest.raises(BackupDamaged), Archive.open(saved, KEY):
                pass


def test_a_forger_without_the_secret_key_is_noticed(tmp_path: Path) -> None:
    """A manifest that fits its members does not help: it is authenticated."""
    forged = written(tmp_path / "forged.zip", b"another key")
    with pytest.raises(BackupDamaged, match="secret key"), Archive.open(forged, KEY):
        pass


def test_members_that_the_manifest_does_not_name_are_refused(saved: Path) -> None:
    with zipfile.ZipFile(saved, "a") as file:
        file.writestr("media/../../etc/cron.d/x", b"evil")
    with pytest.raises(BackupDamaged), Archive.open(saved, KEY):
        pass


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="cannot be read"), Archive.open(tmp_path / "none.zip", KEY):
        pass


@pytest.mark.parametrize(
    "change, words",
    [
        ({"form": 2}, "newer version"),
        ({"database": "oracle"}, "oracle"),
        ({"migrations": ["keys/9999_from_the_future"]}, "keys/9999_from_the_future is not known"),
        ({"migrations": []}, "older version"),
    ],
)
def test_a_backup_of_another_version_or_kind_is_refused(change: dict[str, Any], words: str) -> None:
    ours = {
        "form": FORM,
        "database": connection.vendor,
        "migrations": ["/".join(one) for one in MigrationLoader(None).disk_migrations],
    }
    fits(ours)
    with pytest.raises(BackupError, match=words):
        fits({**ours, **change})


def _broken(_chunk: int) -> bytes:
    raise ZeroDivisionError
