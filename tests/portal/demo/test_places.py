"""The demo's run folder: ports, secrets, reset."""

import socket
import stat
from pathlib import Path

import pytest

from portal.ops.demo import reset
from portal.ops.demo.places import PORTS, Places
from tests.support.processes import free_port


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setenv("MSPAN_DEMO_DIR", str(tmp_path / "demo"))
    for name in PORTS:
        monkeypatch.setenv(f"MSPAN_DEMO_{name.upper()}_PORT", str(free_port()))
    places = Places.default()
    places.make()
    return places


def test_secrets_are_for_the_owner_only_and_survive_a_second_start(places: Places) -> None:
    before = (places.secrets / "audit_key").read_bytes()

    places.make()

    assert (places.secrets / "audit_key").read_bytes() == before
    assert stat.S_IMODE((places.secrets / "audit_key").stat().st_mode) == 0o600


def test_a_taken_port_is_named_and_a_free_one_used(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        monkeypatch.setenv("MSPAN_DEMO_MQTT_PORT", str(taken))

        ports = places.choose_ports(said.append)

    assert ports["mqtt"] != taken
    assert said[0].startswith(f"port {taken} (mqtt) is taken")


def test_the_ports_of_the_last_start_are_used_again(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    first = places.choose_ports(lambda _: None)
    for name in PORTS:
        monkeypatch.delenv(f"MSPAN_DEMO_{name.upper()}_PORT")

    assert places.choose_ports(lambda _: None) == first


def test_reset_removes_the_folder_but_not_while_the_demo_runs(places: Places) -> None:
    import os

    places.lock.write_text(str(os.getpid()))
    assert reset.main() == 1
    assert places.folder.exists()

    places.lock.unlink()
    assert reset.main() == 0
    assert not places.folder.exists()


def test_reset_leaves_a_folder_alone_that_is_no_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "precious").touch()
    monkeypatch.setenv("MSPAN_DEMO_DIR", str(tmp_path))

    assert reset.main() == 1
    assert (tmp_path / "precious").exists()
