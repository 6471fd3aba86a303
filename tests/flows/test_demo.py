"""The demo as a newcomer starts it: readings, the next adapter paired, a foreign device, a second start, no orphans."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from portal.ops.demo.house import Flat, flats, unpaired
from portal.ops.demo.places import PORTS
from portal.ops.demo.plugs import plug_in
from tests.concentrator_agent.field import Gateway
from tests.concentrator_agent.lab import Mote
from tests.concentrator_agent.test_foreign_device import ForeignDevice
from tests.support.processes import free_port

ROOT = Path(__file__).resolve().parents[2]
FIRST_READINGS_S = 60.0
SLOTS_S = 240.0  # joined, configured, and one answer about its clock
AIR_MS = 50.0  # from the end of a frame to the stamp that the gateway gives it
TOKEN = """
from datetime import timedelta
from django.utils import timezone
from provisioning.accounts.models import Organisation, User
from provisioning.accounts.services import create_token
user = User.objects.get(email="operator@demo.example")
until = timezone.now() + timedelta(hours=1)
print(create_token(user, Organisation.objects.get(), "flow", role="operator", read_only=False, expires_at=until).text)
"""

pytestmark = [pytest.mark.flow, pytest.mark.timeout(700)]


class Demo:
    """A launched demo: its address, its ports, its API."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in PORTS}
        settings = {f"MSPAN_DEMO_{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        own = {name: value for name, value in os.environ.items() if not name.startswith(("MSPAN_", "DJANGO_"))}
        self.env = {**own, "MSPAN_DEMO_DIR": str(folder), **settings}
        self.process: subprocess.Popen[str] | None = None
        self.token = ""

    def start(self) -> None:
        """Launch, and wait until it says that it runs."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "portal.ops.demo"], cwd=ROOT, env=self.env, stderr=subprocess.PIPE, text=True
        )
        self.hear("running")

    def hear(self, words: str) -> None:
        """Wait for a line that begins so."""
        assert self.process is not None
        assert self.process.stderr is not None
        said = []
        for line in self.process.stderr:
            said.append(line)
            if line.startswith(words):
                return
        raise AssertionError(f"the demo never said {words!r}:\n" + "".join(said))

    def interrupt(self) -> set[int]:
        """Ctrl-C; returns the children that were there before."""
        assert self.process is not None
        children = _descendants(self.process.pid)
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        return children

    def make_token(self) -> None:
        secret = self.folder / "secrets"
        env = {
            **self.env,
            "MSPAN_DATABASE_URL": f"sqlite:///{self.folder / 'portal.sqlite3'}",
            "MSPAN_SECRET_KEY_FILE": str(secret / "secret_key"),
            "MSPAN_AUDIT_KEY_FILE": str(secret / "audit_key"),
            "MSPAN_TLS": "0",
        }
        command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", TOKEN]
        self.token = subprocess.run(
            command, cwd=ROOT, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    def label(self, dev_eui: str) -> str:
        """What stands on an adapter, as the key custodian's command prints it."""
        secret = self.folder / "secrets"
        env = {
            **self.env,
            "MSPAN_DATABASE_URL": f"sqlite:///{self.folder / 'portal.sqlite3'}",
            "MSPAN_SECRET_KEY_FILE": str(secret / "secret_key"),
            "MSPAN_AUDIT_KEY_FILE": str(secret / "audit_key"),
            "MSPAN_KEK_FILE": str(secret / "kek"),
            "MSPAN_ALLOW_FILE_KEK": "1",
            "MSPAN_TLS": "0",
        }
        command = [sys.executable, "manage.py", "label", dev_eui, "--format", "text"]
        text = subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True).stdout
        return next(line.strip() for line in text.splitlines() if line.strip().startswith("LW:"))

    async def ask(self, path: str, body: dict[str, Any] | None = None, key: str = "") -> Any:
        """As `call`, while others walk on."""
        return await asyncio.to_thread(self.call, path, body, key)

    def call(self, path: str, body: dict[str, Any] | None = None, key: str = "") -> Any:
        """GET, or POST when there is a body."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['portal']}/api/v1/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                **({"Idempotency-Key": key} if key else {}),
            },
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path / "demo")
    yield demo
    if demo.process is not None and demo.process.poll() is None:
        demo.process.kill()
        demo.process.communicate()


async def test_a_newcomer_sees_readings_and_registers_a_foreign_device(demo: Demo) -> None:
    await asyncio.to_thread(demo.start)
    demo.make_token()
    await asyncio.to_thread(demo.hear, "first reading stored")

    adapters = demo.call("adapters/")["results"]
    assert len(adapters) == 12
    boxed = unpaired(flats(demo.folder / "agents" / "building.toml"))
    paired = [adapter for adapter in adapters if adapter["dev_eui"] not in {flat.dev_eui for flat in boxed}]
    assert len(paired) == 6
    for adapter in paired:
        await _eventually(lambda pk=adapter["id"]: demo.call(f"readings/?adapter={pk}")["results"], FIRST_READINGS_S)
    first = demo.call(f"readings/?adapter={adapters[0]['id']}")["results"][0]

    # Slots come round once in a minute: meanwhile there is time for the rest.
    async with asyncio.TaskGroup() as group:
        for adapter in paired:
            group.create_task(_in_its_slot(demo, adapter["id"]))
        group.create_task(_newcomers(demo, boxed[0]))

    children = demo.interrupt()
    assert len(children) >= 18
    assert not {pid for pid in children if _alive(pid)}

    await asyncio.to_thread(demo.start)
    kept = demo.call(f"readings/?adapter={adapters[0]['id']}")["results"]
    assert first in kept, "a second start keeps the data"
    demo.interrupt()


async def _newcomers(demo: Demo, flat: Flat) -> None:
    await _pair_the_next(demo, flat)
    await _foreign_device(demo)


async def _in_its_slot(demo: Demo, adapter: int) -> None:
    """It says that it sends in the slot it was given, and the next telegram that comes there is on time."""

    def given() -> Any:
        found = demo.call(f"adapters/{adapter}/slot/")["slot"]
        return found if found and found["echo"]["state"] == "in_slot" else None

    slot = await _eventually(given, SLOTS_S, every_s=1.0)
    assert (slot["period_s"], slot["overlap_ms"], slot["echo"]["version"]) == (60, 0, slot["version"])
    begin, end = slot["phase_ms"], slot["phase_ms"] + slot["length_ms"]
    await _eventually(
        lambda: [at for at in _arrivals(demo, adapter) if begin <= at <= end + AIR_MS],
        2 * slot["period_s"],
        every_s=1.0,
    )


def _arrivals(demo: Demo, adapter: int) -> list[float]:
    """When its last telegrams had arrived, in ms of their minutes."""
    rows = demo.call(f"telegrams/?adapter={adapter}")["results"]
    times = [datetime.fromisoformat(row["received_at"]) for row in rows if row["fport"] == 16]
    return [at.timestamp() % 60 * 1000 for at in times]


async def _pair_the_next(demo: Demo, flat: Flat) -> None:
    """Its plug goes in, both labels are sent, and the portal says that the right meter is read."""
    plug_in(demo.folder / "plugs", flat.name)
    label = await asyncio.to_thread(demo.label, flat.dev_eui)
    scans = {"adapter_scan": label, "meter_scan": flat.meters[0][1]}
    pairing = await demo.ask("pairings/", scans, key="the-next-adapter")
    shown = await _eventually(
        lambda: (
            found
            if (found := demo.call(f"pairings/{pairing['id']}/progress/"))["state"] == "confirmed" and found["reading"]
            else None
        ),
        FIRST_READINGS_S,
    )
    assert shown["identity"] == "match"


async def _foreign_device(demo: Demo) -> None:
    """Registered over the API, then pointed at the concentrator: joins, and its telegram shows."""
    pytest.importorskip("pamoja._native", reason="pamoja-gateway is not installed (extra dev)")
    mote = Mote()
    concentrator = (await demo.ask("concentrators/"))["results"][0]
    keys = {"dev_eui": mote.dev_eui, "join_eui": mote.entry().join_eui, "app_key": mote.key.hex()}
    body = {**keys, "concentrator": concentrator["id"], "location": "somebody else's"}
    device = await demo.ask("adapters/foreign/", body)
    wanted = (await demo.ask(f"concentrators/{concentrator['id']}/"))["desired_revision"]
    await _eventually(
        lambda: demo.call(f"concentrators/{concentrator['id']}/")["running_revision"] >= wanted, FIRST_READINGS_S
    )
    gateway = await Gateway().open(demo.ports["udp"])
    foreign = ForeignDevice(gateway, mote)
    joined = None
    for nonce in range(1, 6):  # the building talks meanwhile; a busy gateway may leave one request unanswered
        joined = await foreign.join(nonce)
        if joined is not None:
            break
    assert joined is not None
    assert joined.kind == "joined"
    payload = secrets.token_bytes(9)
    await foreign.send(payload, confirmed=True)
    shown = await _eventually(
        lambda: [
            t for t in demo.call(f"telegrams/?adapter={device['id']}")["results"] if payload.hex() in json.dumps(t)
        ],
        FIRST_READINGS_S,
    )
    assert len(shown) == 1
    gateway.transport.close()


async def _eventually(ask: Callable[[], Any], seconds: float, every_s: float = 0.3) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := await asyncio.to_thread(ask)):
        assert time.monotonic() < deadline, "it did not come in time"
        await asyncio.sleep(every_s)
    return found


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found |= {int(entry.name)} | _descendants(int(entry.name))
    return found


def _alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
