"""Pairing as it happens in a cellar: adapters are plugged in, a phone sends what it scanned, first readings arrive."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapter_agent.app import AdapterApp
from adapter_agent.config import load as load_adapter
from adapter_agent.simulation.building import Building
from adapter_agent.simulation.config import load as load_building
from edge.clock import SystemClock
from portal.ops.demo.house import Flat
from tests.flows.stand import Stand, standing

PERIOD_S = 15.0
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

pytestmark = [pytest.mark.flow, pytest.mark.timeout(400)]


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


async def test_twelve_adapters_are_paired_and_twelve_first_readings_arrive() -> None:
    with standing(12, period_s=PERIOD_S, confirm_every=1, paired=0) as stand:
        labels = await asyncio.to_thread(_labels, stand)
        phone = await asyncio.to_thread(Phone, stand, "installer")
        async with house(stand) as here:
            pairings: list[int] = []
            for number, flat in enumerate(stand.flats):
                here.plug_in(flat)
                if number == 3:
                    stand.parts["concentrator"].kill()  # off during pairing
                if number == 6:
                    await asyncio.to_thread(stand.parts["concentrator"].start)
                    stand.parts["bridge"].kill()  # the portal restarts in mid-pairing
                if number == 9:
                    await asyncio.to_thread(stand.parts["bridge"].start)
                for input_, (_, meter) in enumerate(flat.meters):
                    answer = await asyncio.to_thread(phone.pair, labels[flat.dev_eui], meter, input_)
                    pairings.append(answer["id"])
            await here.pull(stand.flats[-1])  # reset in mid-configuration
            here.plug_in(stand.flats[-1])
            found = [await _eventually(phone, pairing, _read) for pairing in pairings]
            silent = [one for one in found if one["identity"] == "unreadable"]
            for one in silent:  # an old meter names itself by nothing that stands on its face: a person compares
                assert one["waiting"]["code"] == "unreadable"
                status, answer = phone.call(f"pairings/{one['id']}/confirm/", {"reason": "the display shows the same"})
                assert status == 200, answer
            found = [phone.progress(pairing) for pairing in pairings]

        assert len(pairings) == 13  # one adapter reads two meters
        assert len(silent) == 1
        assert [one["identity"] for one in found].count("match") == 12
        assert {one["state"] for one in found} == {"confirmed"}
        for one in found:
            steps = {step["step"]: step["at"] for step in one["steps"]}
            assert all(steps.values()), steps
            assert one["reading"]["unit"]
        assert stand.rows("select count(*) from telemetry_reading where metering_point_id is null")[0][0] == 0


async def test_adapters_on_each_others_meters_are_found_out_and_swapped() -> None:
    with standing(2, period_s=PERIOD_S, confirm_every=1, paired=0) as stand:
        labels = await asyncio.to_thread(_labels, stand)
        phone = await asyncio.to_thread(Phone, stand, "installer")
        operator = await asyncio.to_thread(Phone, stand, "operator")
        one, other = stand.flats
        async with house(stand) as here:
            here.plug_in(one)
            here.plug_in(other)
            first = phone.pair(labels[one.dev_eui], other.meters[0][1])
            second = phone.pair(labels[other.dev_eui], one.meters[0][1])
            for pairing in (first, second):
                found = await _eventually(phone, pairing["id"], lambda p: p["identity"] == "mismatch")
                assert found["waiting"]["code"] == "mismatch"
            attributed = "select count(*) from telemetry_reading where metering_point_id is not null"
            await _until(lambda: stand.rows("select count(*) from telemetry_reading")[0][0] > 0)  # type: ignore[operator]
            assert stand.rows(attributed)[0][0] == 0, "readings of a mismatch belong to nobody"

            resolve = {"how": "swap", "reason": "the scans were exchanged"}
            status, answer = operator.call(f"pairings/{first['id']}/resolve/", resolve)
            assert status == 200, answer
            swapped = operator.call("pairings/?state=pending")[1]["results"]
            for pairing in swapped or operator.call("pairings/?state=confirmed")[1]["results"]:
                await _eventually(operator, pairing["id"], _arrived)
        confirmed = operator.call("pairings/?state=confirmed")[1]["results"]
        assert len(confirmed) == 2


def _labels(stand: Stand) -> dict[str, str]:
    """What is printed on each adapter."""
    return {flat.dev_eui: _label_line(stand.manage("label", flat.dev_eui, "--format", "text")) for flat in stand.flats}


def _label_line(text: str) -> str:
    return next(line.strip() for line in text.splitlines() if line.strip().startswith("LW:D0:"))


def _read(progress: dict[str, Any]) -> bool:
    """All that comes by itself has come."""
    return all(s["at"] for s in progress["steps"]) and (
        progress["state"] == "confirmed" or progress["identity"] == "unreadable"
    )


def _arrived(progress: dict[str, Any]) -> bool:
    return (
        progress["state"] == "confirmed" and progress["reading"] is not None and all(s["at"] for s in progress["steps"])
    )


async def _eventually(phone: Phone, pairing: int, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE_S
    while not true(progress := await asyncio.to_thread(phone.progress, pairing)):
        assert time.monotonic() < deadline, f"it did not come so far in time: {json.dumps(progress, indent=1)}"
        await asyncio.sleep(0.5)
    return progress


async def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not await asyncio.to_thread(true):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)
