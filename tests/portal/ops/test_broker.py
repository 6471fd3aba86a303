"""The broker's files."""

import io
import signal
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from portal.ops import broker
from provisioning.fleet.models import Concentrator
from provisioning.fleet.services import reset_password
from tests.cast import STAGE
from tests.portal.stage import Stage

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def portal_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.MQTT, "password", "the portal's own")


def write(folder: Path, **options: Any) -> str:
    said = io.StringIO()
    call_command("broker_config", out=folder, stdout=said, **options)
    return said.getvalue()


def test_the_folder_holds_configuration_access_list_and_passwords(stage: Stage, tmp_path: Path) -> None:
    reset_password(STAGE, stage.concentrator)
    folder = tmp_path / "broker"
    assert "the portal and 1 concentrators" in write(folder, port=18_830)
    text = (folder / "mosquitto.conf").read_text()
    for line in ("listener 18830 127.0.0.1", "allow_anonymous false", "max_queued_messages 100000", "persistence true"):
        assert f"{line}\n" in text
    users = [line.split(":")[0] for line in (folder / "passwords").read_text().splitlines()]
    assert users == ["portal", stage.concentrator.eui]
    assert "pattern write mspan/1/%u/up/#" in (folder / "acl").read_text()
    assert "the portal's own" not in (folder / "passwords").read_text()


def test_only_the_owner_reads_the_passwords(stage: Stage, tmp_path: Path) -> None:
    write(tmp_path / "broker")
    assert stat.S_IMODE((tmp_path / "broker").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "broker" / "passwords").stat().st_mode) == 0o600


def test_nothing_is_written_anew_that_did_not_change(stage: Stage, tmp_path: Path) -> None:
    write(tmp_path)
    before = (tmp_path / "passwords").stat().st_ino
    assert "unchanged" in write(tmp_path)
    assert (tmp_path / "passwords").stat().st_ino == before


def test_archived_concentrators_have_no_account(stage: Stage, tmp_path: Path) -> None:
    reset_password(STAGE, stage.concentrator)
    Concentrator.objects.update(archived_at=stage.concentrator.created_at)
    write(tmp_path)
    assert stage.concentrator.eui not in (tmp_path / "passwords").read_text()


def test_a_listener_for_the_world_speaks_tls(stage: Stage, tmp_path: Path) -> None:
    write(tmp_path, tls_port=8883, certificate=Path("server.pem"), key=Path("server.key"))
    text = (tmp_path / "mosquitto.conf").read_text()
    assert f"listener 8883 0.0.0.0\ncertfile {Path('server.pem').resolve()}\n" in text
    with pytest.raises(CommandError, match="certificate"):
        write(tmp_path, tls_port=8883)


def test_without_an_authority_the_broker_is_told_of_no_listener_for_certificates(stage: Stage, tmp_path: Path) -> None:
    write(tmp_path)
    before = (tmp_path / "mosquitto.conf").read_text()
    with pytest.raises(CommandError, match="pki_init"):
        write(tmp_path, certificates_port=8884, certificate=Path("server.pem"), key=Path("server.key"))
    assert (tmp_path / "mosquitto.conf").read_text() == before


def test_without_a_password_of_its_own_the_portal_writes_nothing(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings.MQTT, "password", "")
    with pytest.raises(CommandError, match="MSPAN_MQTT_PASSWORD_FILE"):
        write(tmp_path)


def test_the_bridge_keeps_the_passwords_where_the_files_are(stage: Stage, tmp_path: Path) -> None:
    assert not broker.keep(tmp_path, "portal", "x", ("", ""))
    assert not (tmp_path / broker.PASSWORDS).exists()
    write(tmp_path)
    reset_password(STAGE, stage.concentrator)
    with subprocess.Popen(["sleep", "30"]) as instead_of_the_broker:
        (tmp_path / broker.PID).write_text(f"{instead_of_the_broker.pid}\n")
        assert broker.keep(tmp_path, "portal", "the portal's own", ("", ""))
        assert instead_of_the_broker.wait(10) == -signal.SIGHUP
    assert stage.concentrator.eui in (tmp_path / broker.PASSWORDS).read_text()


def test_no_broker_is_no_failure(tmp_path: Path) -> None:
    assert not broker.reload(tmp_path)
    (tmp_path / broker.PID).write_text("nonsense")
    assert not broker.reload(tmp_path)
