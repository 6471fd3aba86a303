"""The demo's certificates: made once, left alone while they hold, made again when they end."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from portal.ops.demo import certificates
from portal.ops.demo.certificates import prepare
from portal.ops.demo.house import CONCENTRATOR_EUI, write_concentrator
from provisioning.fleet.models import Concentrator
from provisioning.pki.models import Certificate
from tests.cast import Cast, cast
from tests.provisioning.pki.authority import enrolled

__all__ = ["cast"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def concentrator(cast: Cast) -> Concentrator:
    made = cast.concentrator()
    Concentrator.objects.filter(pk=made.pk).update(eui=CONCENTRATOR_EUI)
    made.refresh_from_db()
    return made


def test_a_first_start_makes_authority_server_and_password(concentrator: Concentrator, tmp_path: Path) -> None:
    prepare(tmp_path, tmp_path)
    password = tmp_path / "enrolment.password"
    assert password.stat().st_mode & 0o777 == 0o600
    assert len(password.read_text()) >= 24
    assert {"ca.pem", "server.pem", "server.key"} <= {file.name for file in tmp_path.iterdir()}


def test_what_holds_is_left_alone(concentrator: Concentrator, tmp_path: Path) -> None:
    prepare(tmp_path, tmp_path)
    enrolled(concentrator, tmp_path / "device")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    prepare(tmp_path, tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before


def test_after_long_in_the_drawer_there_are_new_ones(
    concentrator: Concentrator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path, tmp_path)
    enrolled(concentrator, tmp_path / "device")
    Certificate.objects.update(not_before=timezone.now() - timedelta(days=9), not_after=timezone.now())
    monkeypatch.setattr(certificates, "RENEWED_BEFORE", timedelta(days=1000))
    before = [(tmp_path / name).read_bytes() for name in ("server.pem", "enrolment.password")]
    prepare(tmp_path, tmp_path)
    after = [(tmp_path / name).read_bytes() for name in ("server.pem", "enrolment.password")]
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_without_an_authority_the_concentrator_keeps_its_password(tmp_path: Path) -> None:
    ports = {"mqtt": 1, "udp": 2}
    assert "enrolment" not in write_concentrator(tmp_path, ports).read_text()
    text = write_concentrator(tmp_path, {**ports, "certificates": 3, "est": 4}, tmp_path / "pki").read_text()
    assert "localhost:4" in text
    assert "password_file" in text
