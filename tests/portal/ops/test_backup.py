"""Backup and restore: whole again on both databases, no key in clear, and nothing touched before all is checked."""

import io
import json
import os
import resource
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import connection

from meterwire.seal import Key16
from portal.ops.backup import postgres
from portal.ops.backup.archive import MANIFEST, Archive, Writer
from portal.ops.backup.errors import BackupDamaged, BackupError, RestoreFailed
from portal.ops.backup.making import key, make
from portal.ops.backup.restoring import REVISIONS_AHEAD, restore
from provisioning.accounts.models import Organisation
from provisioning.audit import triggers
from provisioning.audit.models import Entry
from provisioning.audit.services import audited, record
from provisioning.fleet.models import Concentrator, Site
from provisioning.keys import kek
from provisioning.keys.kek import FileKek, KekMissing
from provisioning.keys.models import DeviceKey
from provisioning.keys.services import NewKey, import_keys
from provisioning.keys.vault import Vault
from tests.cast import STAGE, Cast
from tests.support.console import Console
from tests.support.migrated import migrated_sqlite

ROOT = Path(__file__).resolve().parents[3]
CANARY = Key16(bytes.fromhex("c0ffee00c0ffee11c0ffee22c0ffee33"))

pytestmark = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="the SQLite half runs in processes of its own"
)


@pytest.fixture
def house(transactional_db: None, settings: Any, tmp_path: Path) -> Cast:
    """An installation with a key, a concentrator and a photo."""
    settings.MEDIA_ROOT = tmp_path / "media"
    cast = Cast.assemble()
    cast.concentrator()
    import_keys(STAGE, cast.adapter(), [NewKey("inner", CANARY)])
    photo = tmp_path / "media" / "meters" / "12.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b"a photo")
    return cast


@pytest.fixture
def saved(house: Cast, tmp_path: Path) -> Path:
    make(tmp_path / "backup.zip")
    return tmp_path / "backup.zip"


@pytest.fixture
def elsewhere(saved: Path, settings: Any, tmp_path: Path) -> Iterator[None]:
    """Another machine: an empty database and no photos."""
    home = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS restored_here")
        cursor.execute("CREATE DATABASE restored_here")
    connection.close()
    connection.settings_dict["NAME"] = "restored_here"
    settings.MEDIA_ROOT = tmp_path / "other media"
    yield
    connection.close()
    connection.settings_dict["NAME"] = home


def opened() -> Key16:
    return Vault.from_settings().open(DeviceKey.objects.select_related("adapter").get(purpose="inner"))


def test_an_empty_machine_becomes_what_was_saved(saved: Path, elsewhere: None, settings: Any) -> None:
    restored = restore(saved)

    assert opened() == CANARY
    assert (Path(settings.MEDIA_ROOT) / "meters" / "12.jpg").read_bytes() == b"a photo"
    assert (restored.photos, restored.data_keys, restored.opened, restored.differing) == (1, 1, 1, ())
    assert restored.rows > 20
    assert Organisation.objects.count() == 2
    with pytest.raises(Exception, match=triggers.REFUSAL):
        Entry.objects.update(action="forged")


def test_what_came_after_the_backup_is_gone_and_says_so(house: Cast, saved: Path) -> None:
    house.site("built later")
    restore(saved, replace=True)

    assert not Site.objects.filter(name="built later").exists()
    assert set(Entry.objects.filter(action="backup.restored").values_list("organisation_id", flat=True)) == set(
        Organisation.objects.values_list("pk", flat=True)
    )
    with audited(house.organisation):
        record(house.organisation, STAGE, "site.created")  # the numbers of rows go on where they were


def test_concentrators_get_their_whole_table_under_a_revision_that_was_never_used(house: Cast, saved: Path) -> None:
    before = Concentrator.objects.get()
    Concentrator.objects.update(desired_revision=before.desired_revision + 5)
    restore(saved, replace=True)

    after = Concentrator.objects.get()
    assert after.desired_revision == before.desired_revision + REVISIONS_AHEAD == after.whole_since


def test_everybody_has_to_log_in_again(house: Cast, saved: Path, client: Any) -> None:
    client.force_login(house.operator)
    assert Session.objects.exists()
    saved.unlink()
    make(saved)
    restore(saved, replace=True)
    assert not Session.objects.exists()


def test_an_installation_is_not_overwritten_by_accident(house: Cast, saved: Path) -> None:
    house.site("precious")
    with pytest.raises(BackupError, match="--replace"):
        restore(saved)
    assert Site.objects.filter(name="precious").exists()


def test_no_key_is_in_it_in_clear(saved: Path, settings: Any) -> None:
    secret = [CANARY.reveal(), Path(settings.KEK_FILE).read_bytes(), settings.SECRET_KEY.encode()]
    content = _everything(saved)
    for found in secret:
        assert found not in content
        assert found.hex().encode() not in content.lower()
    assert b"lindenhof" in content.lower(), "the scan reads what is in there"
    assert saved.stat().st_mode & 0o777 == 0o600


def test_without_the_key_encryption_key_it_names_the_one_that_is_needed(
    saved: Path, elsewhere: None, settings: Any, tmp_path: Path
) -> None:
    needed, settings.KEK_FILE = FileKek(Path(settings.KEK_FILE)).kek_id, ""
    with pytest.raises(BackupError, match=f"{needed}.*--without-kek"):
        restore(saved)
    kek.create(tmp_path / "another")
    settings.KEK_FILE = str(tmp_path / "another")
    with pytest.raises(BackupError, match=f"{needed}.*--without-kek"):
        restore(saved)
    assert "accounts_organisation" not in connection.introspection.table_names(), "nothing was touched"

    restored = restore(saved, without_kek=True)
    assert (restored.data_keys, restored.opened) == (1, 0)
    with pytest.raises(KekMissing, match=needed):
        opened()


def test_a_key_encryption_key_that_was_replaced_since_opens_it_as_the_old_one(
    saved: Path, elsewhere: None, settings: Any, tmp_path: Path
) -> None:
    kek.create(tmp_path / "another")
    settings.OLD_KEK_PROVIDER, settings.OLD_KEK_FILE = "file", settings.KEK_FILE
    settings.KEK_FILE = str(tmp_path / "another")
    assert restore(saved).opened == 1
    assert opened() == CANARY


def test_a_damaged_file_is_refused_before_anything_is_touched(house: Cast, saved: Path) -> None:
    house.site("precious")
    saved.write_bytes(saved.read_bytes()[:-1])
    with pytest.raises(BackupDamaged):
        restore(saved, replace=True)
    assert Site.objects.filter(name="precious").exists()


def test_a_photo_cannot_leave_its_folder(house: Cast, saved: Path, tmp_path: Path) -> None:
    """Not even when somebody with the secret key made the file."""
    made = tmp_path / "made.zip"
    with Archive.open(saved, key()) as archive, Writer(made, key()) as writer:
        for name in archive.members:
            writer.add(name, archive.read(name))
        writer.add("media/../escaped", [b"evil"])
        writer.finish({name: value for name, value in archive.facts.items() if name != "members"})
    with pytest.raises(BackupDamaged, match="outside"):
        restore(made, replace=True)
    assert not (tmp_path / "escaped").exists()


def test_a_restore_that_breaks_off_leaves_the_database_as_it_was(house: Cast, saved: Path) -> None:
    house.site("precious")
    with Archive.open(saved, key()) as archive:
        dump = b"".join(archive.read(postgres.MEMBER))
    for cut in (dump[:100], dump[: len(dump) // 2], dump[:-200]):
        with pytest.raises(RestoreFailed, match="as it was before"):
            postgres.load([cut])
    assert Site.objects.filter(name="precious").exists()


def test_rows_that_did_not_arrive_are_noticed(house: Cast, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "load", lambda _chunks: house.site("not in the backup"))
    with pytest.raises(RestoreFailed, match="fleet_site"):
        restore(saved, replace=True)


def test_an_existing_file_is_never_overwritten(saved: Path) -> None:
    content = saved.read_bytes()
    with pytest.raises(CommandError, match="exists and is kept"):
        call_command("backup", out=saved)
    assert saved.read_bytes() == content


def test_a_backup_that_fails_leaves_no_file(house: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    with pytest.raises(CommandError, match="pg_dump failed"):
        call_command("backup", out=tmp_path / "never.zip")
    assert list(tmp_path.glob("never*")) == []


def test_a_disk_that_fills_up_leaves_no_file(tmp_path: Path) -> None:
    def write() -> None:
        with Writer(tmp_path / "never.zip", b"key") as writer:
            writer.add("photo", [bytes(1 << 15)] * 4)

    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, usual[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert list(tmp_path.iterdir()) == []


def test_the_commands_say_what_they_did(house: Cast, tmp_path: Path, settings: Any) -> None:
    out = io.StringIO()
    call_command("backup", out=tmp_path / "a.zip", stdout=out)
    assert FileKek(Path(settings.KEK_FILE)).kek_id in out.getvalue()
    out = io.StringIO()
    settings.LABEL_PROFILE = "00AB0001"
    call_command("restore", tmp_path / "a.zip", "--replace", stdout=out)
    assert "1 of 1 data keys open" in out.getvalue()
    assert "label_profile" in out.getvalue()
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("restore", tmp_path / "none.zip")


def test_sqlite_is_saved_and_restored_as_well(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    kek.create(tmp_path / "kek")
    migrated_sqlite(here / "portal.sqlite3")
    program = (
        "from tests.cast import *; from provisioning.keys.services import *; from meterwire.seal import Key16;"
        "cast = Cast.assemble(); import_keys(STAGE, cast.adapter(), [NewKey('inner', Key16(bytes(range(16))))])"
    )
    with Console(_environment(here)) as console:
        console.manage("shell", "--no-imports", "-c", program)
        assert "file:" in console.manage("backup", "--out", str(tmp_path / "b.zip"))

    there.mkdir()
    assert "1 of 1 data keys open" in _manage(there, "restore", str(tmp_path / "b.zip"))
    with closing(sqlite3.connect(there / "portal.sqlite3")) as database:
        assert database.execute("SELECT count(*) FROM accounts_organisation").fetchone() == (2,)
        assert database.execute("SELECT count(*) FROM keys_devicekey").fetchone() == (1,)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        _manage(there, "restore", str(tmp_path / "b.zip"))
    assert "--replace" in refused.value.stderr
    _manage(there, "restore", "--replace", str(tmp_path / "b.zip"))


def _manage(folder: Path, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(command, env=_environment(folder), check=True, capture_output=True, text=True).stdout


def _environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "MSPAN_DATABASE_URL": f"sqlite:///{folder / 'portal.sqlite3'}",
        "MSPAN_DATA_DIR": str(folder),
        "MSPAN_KEK_FILE": str(folder.parent / "kek"),
        "PYTHONPATH": str(ROOT),
    }


def _everything(saved: Path) -> bytes:
    """All members, the dump as SQL text."""
    program = postgres._program("pg_restore")
    found = b""
    with zipfile.ZipFile(saved) as file:
        for name in file.namelist():
            content = file.read(name)
            if name == postgres.MEMBER:
                content += subprocess.run([program, "-f", "-"], input=content, capture_output=True, check=True).stdout
            found += content
        assert json.loads(file.read(MANIFEST))["counts"]["keys_devicekey"] == 1
    return found
