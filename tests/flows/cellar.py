"""A cellar for the pairing walks: adapters that are plugged in one by one, and somebody's phone with the API."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from adapter_agent.app import AdapterApp
from adapter_agent.config import load as load_adapter
from adapter_agent.simulation.building import Building
from adapter_agent.simulation.config import load as load_building
from edge.clock import SystemClock
from portal.ops.demo.house import Flat
from tests.flows.stand import Stand

DEADLINE_S = 120.0
TOKEN = """
from datetime import timedelta
from django.utils import timezone
from provisioning.accounts.models import Organisation, User
from provisioning.accounts.services import create_token
user = User.objects.get(email="{role}@demo.example")
until = timezone.now() + timedelta(hours=1)
print(create_token(user, Organisation.objects.get(), "flow", role="{role}", read_only=False, expires_at=until).text)
"""


LABELS = """
from provisioning.accounts.actors import System
from provisioning.fleet.models import Adapter
from provisioning.labels.services import print_labels
adapters = list(Adapter.objects.select_related("organisation"))
for label in print_labels(System("flow"), adapters[0].organisation, adapters):
    print(label.dev_eui, label.text)
"""


class Phone:
    """Somebody's access to the API."""

    def __init__(self, stand: Stand, role: str) -> None:
        self._base = f"http://127.0.0.1:{stand.ports['web']}/api/v1/"
        self._token = stand.manage("shell", "--no-imports", "-c", TOKEN.format(role=role)).strip()

    def call(self, path: str, body: dict[str, Any] | None = None, key: str = "") -> tuple[int, Any]:
        """GET, or POST when there is a body: status and answer."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def pair(self, label: str, meter: str, input: int = 0) -> dict[str, Any]:
        """Send the two scans, twice as a phone with a bad network would: one pairing, the same answer."""
        body = {"adapter_scan": label, "meter_scan": meter, "input": input}
        key = f"scan-{meter}"
        first, again = self.call("pairings/", body, key), self.call("pairings/", body, key)
        assert first[0] == 201, first
        assert again == first
        return dict(first[1])

    def progress(self, pairing: int) -> dict[str, Any]:
        return dict(self.call(f"pairings/{pairing}/progress/")[1])


class House:
    """The building's meters and air, and adapters that are plugged in one by one."""

    def __init__(self, stand: Stand, building: Building) -> None:
        self._stand, self._building = stand, building
        self._running: dict[str, tuple[AdapterApp, asyncio.Task[None]]] = {}

    def plug_in(self, flat: Flat) -> None:
        loaded = load_adapter(self._stand.agents / f"{flat.name}.toml")
        app = AdapterApp(loaded, SystemClock(), phy=self._building.air.phy(loaded.config.adapter.dev_eui))
        self._running[flat.name] = app, asyncio.create_task(app.run())

    async def pull(self, flat: Flat) -> None:
        app, task = self._running.pop(flat.name)
        app.stop()
        await task

    async def end(self) -> None:
        for app, _ in self._running.values():
            app.stop()
        await asyncio.gather(*(task for _, task in self._running.values()))


@asynccontextmanager
async def house(stand: Stand) -> AsyncIterator[House]:
    async with Building(load_building(stand.agents / "building.toml"), SystemClock()) as building:
        here = House(stand, building)
        yield here
        await here.end()


def labels(stand: Stand) -> dict[str, str]:
    """What is printed on each adapter, by DevEUI; all in one go, because each start of a command takes a while."""
    return dict(
        line.split() for line in stand.manage("shell", "--no-imports", "-c", LABELS).splitlines() if " LW:" in line
    )


def read(progress: dict[str, Any]) -> bool:
    """All that comes by itself has come."""
    return all(s["at"] for s in progress["steps"]) and (
        progress["state"] == "confirmed" or progress["identity"] == "unreadable"
    )


def arrived(progress: dict[str, Any]) -> bool:
    return (
        progress["state"] == "confirmed" and progress["reading"] is not None and all(s["at"] for s in progress["steps"])
    )


async def eventually(phone: Phone, pairing: int, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE_S
    while not true(progress := await asyncio.to_thread(phone.progress, pairing)):
        assert time.monotonic() < deadline, f"it did not come so far in time: {json.dumps(progress, indent=1)}"
        await asyncio.sleep(0.2)
    return progress


async def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not await asyncio.to_thread(true):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
