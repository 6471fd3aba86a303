"""The command as a process: exit codes, one clear line, signals, systemd's notification."""

import os
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

from concentrator_agent import __version__
from edge.sealedfile import load_credential

LEAST = '[concentrator]\neui = "0011223344556677"\nstate_dir = "state"\n[udp]\nport = 0\n'


def command(folder: Path, *arguments: str, text: str = LEAST) -> "subprocess.CompletedProcess[str]":
    config = folder / "c.toml"
    config.write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "concentrator_agent", *arguments, "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_key_is_made_once_and_printed_with_its_fingerprint(tmp_path: Path) -> None:
    first, second = command(tmp_path, "key"), command(tmp_path, "key")
    assert first.returncode == 0
    key, fingerprint = first.stdout.splitlines()
    assert len(bytes.fromhex(key)) == 32
    assert fingerprint.startswith("fingerprint ")
    assert second.stdout == first.stdout
    assert load_credential(tmp_path / "state" / "credential")
    for file in (tmp_path / "state").iterdir():
        assert file.stat().st_mode & 0o077 == 0


def test_the_effective_configuration_is_printed_without_touching_anything(tmp_path: Path) -> None:
    shown = command(tmp_path, "run", "--check-config")
    assert shown.returncode == 0
    assert "dedupe_ms = 200" in shown.stdout
    assert not (tmp_path / "state").exists()


def test_the_version_it_reports_is_that_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__


def test_a_wrong_configuration_ends_with_2_and_one_line(tmp_path: Path) -> None:
    wrong = command(tmp_path, "run", text=LEAST + "prot = 1\n")
    assert wrong.returncode == 2
    assert wrong.stderr.strip() == f"{tmp_path}/c.toml, line 6: unknown key 'prot'; did you mean 'port'?"


def test_what_stands_in_the_way_is_said_in_one_line(tmp_path: Path) -> None:
    command(tmp_path, "key")
    (tmp_path / "state" / "credential").chmod(0o644)
    refused = command(tmp_path, "run")
    assert refused.returncode == 1
    assert "chmod 600" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_it_tells_systemd_that_it_is_ready_alive_and_stopping_and_ends_on_sigterm(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(LEAST)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        process = subprocess.Popen(
            [sys.executable, "-m", "concentrator_agent", "run", "--config", str(tmp_path / "c.toml")],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"},
            stderr=subprocess.PIPE,
            text=True,
        )
        said = [manager.recv(200).decode() for _ in range(4)]
        process.send_signal(signal.SIGTERM)
        while (message := manager.recv(200).decode()) == "WATCHDOG=1":
            pass
        _, errors = process.communicate(timeout=20)
    assert said[0].startswith("READY=1\nSTATUS=listening on UDP 127.0.0.1:")
    assert said[1:] == ["WATCHDOG=1"] * 3
    assert message == "STOPPING=1"
    assert process.returncode == 0
    assert "Traceback" not in errors
