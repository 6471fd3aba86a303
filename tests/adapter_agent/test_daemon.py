"""The adapter as a process: provisioned, started, told about to the service manager, and ended cleanly."""

import asyncio
import json
import os
import pty
import signal
import socket
import sys
from pathlib import Path

import pytest

from adapter_agent.cli import main
from tests.adapter_agent.cast import DEV_EUI, JOIN_EUI, opened, write_hand_over
from tests.adapter_agent.meter.build import energy, telegram
from tests.adapter_agent.radio.air import AirServer

MOST_MEMORY_MB = 40


def configuration(folder: Path, port: int, device: str) -> Path:
    file = folder / "adapter.toml"
    file.write_text(
        f"""
        [adapter]
        dev_eui = "{DEV_EUI}"
        join_eui = "{JOIN_EUI}"
        state_dir = "state"
        [[input]]
        device = "{device}"
        [sampler]
        period_s = 0.3
        [radio]
        port = {port}
        [clock]
        trusted = true
        [commissioning]
        minutes = 0
        [log]
        form = "json"
        """
    )
    return file


async def start(config: Path, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "adapter_agent",
        "run",
        "--config",
        str(config),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )


async def stop(process: asyncio.subprocess.Process, number: int = signal.SIGTERM) -> str:
    process.send_signal(number)
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    return errors.decode()


async def until_logged(process: asyncio.subprocess.Process, words: str) -> str:
    """What `process` logs up to the line with these words."""
    lines = []
    async with asyncio.timeout(60):
        while not lines or words not in lines[-1]:
            lines.append((await process.stderr.readline()).decode())
            assert lines[-1], f"it ended without: {words}"
    return "".join(lines)


def memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def test_a_provisioned_adapter_runs_tells_systemd_and_stops(tmp_path, capsys):
    air = AirServer(enough=2)
    await air.start()
    master, slave = pty.openpty()
    config = configuration(tmp_path, air.port, os.ttyname(slave))
    keys = write_hand_over(tmp_path / "keys.json")
    assert main(["provision", "--config", str(config), "--keys", str(keys)]) == 0
    assert "keys sealed" in capsys.readouterr().err
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        process = await start(config, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="1000000")
        told = []
        async with asyncio.timeout(60):
            while not air.done.is_set() or "WATCHDOG=1" not in told:
                os.write(master, telegram(energy("0100010800ff", 123456)))
                await asyncio.sleep(0.05)
                told += drain(manager)
        memory = memory_mb(process.pid)
        log = await stop(process)
        told += drain(manager)
    assert process.returncode == 0
    assert memory < MOST_MEMORY_MB, f"{memory} MB"
    assert [opened(payload, counter)[1] for counter, payload in enumerate(air.values)] == [12345] * len(air.values)
    assert told[0].startswith("READY=1")
    assert "WATCHDOG=1" in told
    assert told[-1] == "STOPPING=1"
    for line in log.splitlines():
        json.loads(line)
    os.close(slave)
    os.close(master)
    await air.stop()


def drain(channel: socket.socket) -> list[str]:
    told = []
    while True:
        try:
            told.append(channel.recv(1000).decode())
        except BlockingIOError:
            return told


async def test_a_second_process_on_the_same_state_is_refused(tmp_path):
    air = AirServer()
    await air.start()
    config = configuration(tmp_path, air.port, str(tmp_path / "meter"))
    main(["provision", "--config", str(config), "--keys", str(write_hand_over(tmp_path / "keys.json"))])
    first = await start(config)
    async with asyncio.timeout(60):
        while not air.hellos:
            await asyncio.sleep(0.01)
        second = await start(config)
        _, errors = await second.communicate()
    assert second.returncode == 2
    assert b"in use by another adapter-agent" in errors
    await stop(first, signal.SIGINT)
    assert first.returncode == 0
    await air.stop()


async def test_an_adapter_without_keys_leaves_with_a_sentence(tmp_path):
    process = await start(configuration(tmp_path, 1, "meter"))
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"the adapter has no keys" in errors
    assert b"Traceback" not in errors


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_provisioning_refuses_what_it_cannot_use(tmp_path, capsys, mode):
    config = configuration(tmp_path, 1, "meter")
    keys = write_hand_over(tmp_path / "keys.json", mode=mode, dev_eui="70b3d57ed0069999")
    assert main(["provision", "--config", str(config), "--keys", str(keys)]) == 2
    error = capsys.readouterr().err
    assert ("chmod 600" in error) == (mode == 0o644)
    assert keys.exists()
