"""Sealed files: owner only, bound to purpose and credential, whole after any crash."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.sealedfile import (
    Credential,
    SealedFile,
    SealedFileError,
    SealedFileUnreadable,
    load_credential,
    replace,
)

CREDENTIAL = Credential(b"k" * 32)


def test_content_comes_back_and_an_absent_file_is_none(tmp_path: Path) -> None:
    sealed = SealedFile(tmp_path / "keys", CREDENTIAL, "keys")
    assert sealed.read() is None
    sealed.write(b"root key")
    assert sealed.read() == b"root key"
    assert b"root key" not in sealed.path.read_bytes()
    assert sealed.path.stat().st_mode & 0o777 == 0o600


def test_another_purpose_credential_or_context_does_not_open(tmp_path: Path) -> None:
    SealedFile(tmp_path / "keys", CREDENTIAL, "keys").write(b"x")
    for other in (
        SealedFile(tmp_path / "keys", CREDENTIAL, "session"),
        SealedFile(tmp_path / "keys", Credential(b"z" * 32), "keys"),
    ):
        with pytest.raises(SealedFileUnreadable, match="another credential"):
            other.read()
    with pytest.raises(SealedFileUnreadable):
        CREDENTIAL.open(CREDENTIAL.seal(b"x", "row", b"device 1"), "row", b"device 2")


def test_every_single_bit_of_damage_is_noticed(tmp_path: Path) -> None:
    sealed = SealedFile(tmp_path / "keys", CREDENTIAL, "keys")
    sealed.write(b"ab")
    good = sealed.path.read_bytes()
    for bit in range(len(good) * 8):
        sealed.path.write_bytes(bytes(b ^ (1 << bit % 8) if i == bit // 8 else b for i, b in enumerate(good)))
        with pytest.raises(SealedFileUnreadable):
            sealed.read()
    sealed.path.write_bytes(b"")
    with pytest.raises(SealedFileUnreadable, match="no sealed file"):
        sealed.read()


def test_a_file_open_to_the_group_is_refused_with_the_cure(tmp_path: Path) -> None:
    sealed = SealedFile(tmp_path / "keys", CREDENTIAL, "keys")
    sealed.write(b"x")
    sealed.path.chmod(0o640)
    with pytest.raises(SealedFileError, match="chmod 600"):
        sealed.read()


def test_a_credential_is_made_once_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "state" / "credential"
    sealed = load_credential(path).seal(b"x", "p")
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_credential(path).open(sealed, "p") == b"x"
    path.chmod(0o644)
    with pytest.raises(SealedFileError, match="chmod 600"):
        load_credential(path)


def test_systemds_credential_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meterspan").write_bytes(b"from systemd, long enough")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    credential = load_credential(tmp_path / "never-made")
    assert not (tmp_path / "never-made").exists()
    assert Credential(b"from systemd, long enough").open(credential.seal(b"x", "p"), "p") == b"x"


def test_a_short_credential_is_refused(tmp_path: Path) -> None:
    replace(tmp_path / "credential", b"short")
    with pytest.raises(SealedFileError, match="5 bytes"):
        load_credential(tmp_path / "credential")


def test_a_credential_prints_nothing() -> None:
    assert "k" * 8 not in repr(CREDENTIAL)
    assert "6b6b" not in repr(CREDENTIAL)


def test_a_full_or_read_only_folder_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        replace(tmp_path / "file" / "below", b"x")


WRITER = """
import sys
from pathlib import Path
from edge.sealedfile import Credential, SealedFile
sealed = SealedFile(Path(sys.argv[1]), Credential(b"k" * 32), "keys")
number = 0
while True:
    sealed.write(b"%d|" % number + b"x" * 50_000)
    print(number, flush=True)
    number += 1
"""


def test_after_kill_in_mid_write_the_file_is_whole_and_not_older_than_reported(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    for round_ in range(5):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(3 + round_):
            last = int(child.stdout.readline())
        time.sleep(0.001 * round_)
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read().split()
        child.wait()
        content = SealedFile(path, CREDENTIAL, "keys").read()
        assert content is not None
        number, _, padding = content.partition(b"|")
        assert padding == b"x" * 50_000
        assert int(number) >= max([last, *map(int, rest)])
