"""`concentrator-agent enrol` and `certificate`, as somebody on the machine uses them."""

import json
import subprocess
import sys
from pathlib import Path

from tests.concentrator_agent.enrolment.est_server import EstServer

LEAST = '[concentrator]\neui = "0011223344556677"\nstate_dir = "state"\n[mqtt]\nhost = "localhost"\n'


def command(folder: Path, *arguments: str, text: str) -> "subprocess.CompletedProcess[str]":
    (folder / "c.toml").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "concentrator_agent", *arguments, "--config", str(folder / "c.toml")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_by_hand_from_nothing_to_a_certificate_that_can_be_looked_at(est: EstServer, tmp_path: Path) -> None:
    text = LEAST + f'[enrolment]\nest_url = "{est.url}"\nca_file = "ca.pem"\npassword_file = "password"\n'
    none = command(tmp_path, "certificate", text=text)
    assert (none.returncode, none.stdout) == (1, "no certificate yet\n")
    asked = command(tmp_path, "enrol", text=text)
    assert (asked.returncode, "no one-time password" in asked.stdout) == (1, True)
    assert asked.stderr == ""

    (tmp_path / "password").touch(mode=0o600)
    (tmp_path / "password").write_text("once")
    assert command(tmp_path, "enrol", text=text).stdout == "a certificate was issued\n"
    assert "needs no renewal" in command(tmp_path, "enrol", text=text).stdout
    shown = command(tmp_path, "certificate", "--json", text=text)
    assert shown.returncode == 0
    state = json.loads(shown.stdout)
    assert state["current"]["subject"] == "CN=0011223344556677"
    assert state["current"]["not_before"] < state["current"]["renew_at"] < state["current"]["not_after"]
    assert state["next"] is None
    assert state["current"]["fingerprint"] in command(tmp_path, "certificate", text=text).stdout


def test_without_the_section_there_is_nobody_to_ask(tmp_path: Path) -> None:
    refused = command(tmp_path, "enrol", text=LEAST)
    assert (refused.returncode, "[enrolment]" in refused.stderr) == (1, True)
    assert "Traceback" not in refused.stderr


def test_a_certificate_without_tls_to_show_it_in_is_a_mistake(tmp_path: Path) -> None:
    text = LEAST + 'tls = false\n[enrolment]\nest_url = "https://portal.example/"\n'
    refused = command(tmp_path, "enrol", text=text)
    assert (refused.returncode, "line 7" in refused.stderr, "tls = true" in refused.stderr) == (2, True, True)
