"""The generated password hash against a real Mosquitto."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from provisioning.fleet import broker
from tests.support.processes import free_port

USER = "00800000a0001234"


@pytest.fixture
def broker_port(tmp_path: Path) -> Iterator[int]:
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    password_file = tmp_path / "passwords"
    password_file.write_text(f"{USER}:{broker.password_hash('right', b'0123456789ab')}\n")
    tmp_path.chmod(0o755)
    password_file.chmod(0o644)
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {password_file}\nuser root\n")
    process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.parametrize("password, accepted", [("right", True), ("wrong", False)])
def test_mosquitto_accepts_the_right_password_only(broker_port: int, password: str, accepted: bool) -> None:
    assert _connects(broker_port, password) is accepted


def _connects(port: int, password: str) -> bool:
    answers: list[bool] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=USER)
    client.username_pw_set(USER, password)
    client.on_connect = lambda _client, _data, _flags, reason, _properties: answers.append(not reason.is_failure)
    deadline = time.monotonic() + 60
    while True:
        try:
            client.connect("127.0.0.1", port)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "the broker did not start"
            time.sleep(0.02)
    while not answers:
        assert time.monotonic() < deadline, "the broker did not answer"
        client.loop(0.05)
    client.disconnect()
    return answers[0]
