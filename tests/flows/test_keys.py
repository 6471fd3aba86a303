"""Keys of a running house are replaced over the air while parts of it are killed; nowhere does a clear key show.

In the end the concentrator agrees keys of its own with the adapters, which the portal then cannot open.
"""

import asyncio
import contextlib
import json
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from adapter_agent.app import AdapterApp
from adapter_agent.config import load as load_adapter
from adapter_agent.simulation.building import Building
from adapter_agent.simulation.config import load as load_building
from edge.clock import SystemClock
from tests.flows.stand import Stand, standing
from tests.support.processes import POSTGRES_BIN

ADAPTERS = 3
PERIOD_S = 2.0
DEADLINE_S = 150.0
PLAN = """
from provisioning.accounts.actors import System
from provisioning.accounts.models import Organisation
from provisioning.campaigns.services import plan
organisation = Organisation.objects.get(slug="stadtwerke-muster")
print(plan(System("test"), organisation, method={method!r}, partner={partner!r}, per_hour=3600).pk)
"""
# The only look at clear keys: what must be found nowhere else.
CANARIES = """
import json
from provisioning.keys.models import DeviceKey
from provisioning.keys.vault import Vault
vault = Vault.from_settings()
print(json.dumps([vault.open(row).reveal().hex() for row in DeviceKey.objects.exclude(sealed=b"")]))
"""

pytestmark = [pytest.mark.flow, pytest.mark.timeout(400)]


async def test_keys_are_replaced_in_a_running_house_and_show_nowhere() -> None:
    with standing(ADAPTERS, period_s=PERIOD_S, confirm_every=1, slots=False) as stand:
        handed_over = _handed_over(stand)
        await stand.ready()
        async with _house(stand) as house:
            await _until(lambda: _telegrams(stand) >= 2 * ADAPTERS, stand)
            await _rotate(stand, "delivery", house, kill=True)
            await _rotate(stand, "exchange", house, kill=False)
            before = _telegrams(stand)
            await _until(lambda: _telegrams(stand) >= before + ADAPTERS, stand)
            await _rotate(stand, "exchange", house, kill=False, partner="concentrator")
            await _until(lambda: _sealed(stand) >= ADAPTERS, stand)

        assert stand.rows("select error from telemetry_telegram where fport = 16 and error is not null") == []
        assert stand.rows("select adapter_id, counter from telemetry_telegram where fport = 16 group by 1, 2 "
                          "having count(*) > 1") == []  # fmt: skip
        assert _states(stand) == {
            ("portal", "active", ADAPTERS),
            ("portal", "retiring", 2 * ADAPTERS),
            ("concentrator", "active", ADAPTERS),
        }

        canaries = {*handed_over, *json.loads(stand.manage("shell", "-v", "0", "-c", CANARIES))}
        assert len(canaries) >= 5 * ADAPTERS  # root, transport and three inner keys each
        _visit(stand)
        for place, content in _places(stand):
            small = content.lower()
            found = [key for key in canaries if key.encode() in small or bytes.fromhex(key) in content]
            assert not found, f"{len(found)} clear keys show in {place}"


class _House:
    """The adapters at work; one of them may lose its power."""

    def __init__(self, stand: Stand, building: Building) -> None:
        self._stand, self._building = stand, building
        self._apps: dict[str, tuple[AdapterApp, asyncio.Task[None]]] = {}

    def power(self, name: str) -> None:
        loaded = load_adapter(self._stand.agents / f"{name}.toml")
        app = AdapterApp(loaded, SystemClock(), phy=self._building.air.phy(loaded.config.adapter.dev_eui))
        self._apps[name] = app, asyncio.create_task(app.run())

    async def cut(self, name: str) -> None:
        _, task = self._apps.pop(name)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def close(self) -> None:
        for name in list(self._apps):
            await self.cut(name)


@contextlib.asynccontextmanager
async def _house(stand: Stand) -> AsyncIterator[_House]:
    async with Building(load_building(stand.agents / "building.toml"), SystemClock()) as building:
        house = _House(stand, building)
        for flat in stand.flats:
            house.power(flat.name)
            await asyncio.sleep(0.2)
        try:
            yield house
        finally:
            await house.close()


async def _rotate(stand: Stand, method: str, house: _House, *, kill: bool, partner: str = "portal") -> None:
    code = PLAN.format(method=method, partner=partner)
    campaign = int(await asyncio.to_thread(stand.manage, "shell", "-v", "0", "-c", code))

    def count(*states: str) -> int:
        rows = stand.rows(
            "select count(*) from campaigns_delivery where campaign_id = %s and state = any(%s)", campaign, list(states)
        )
        return int(str(rows[0][0]))

    if kill:
        await _until(lambda: count("delivering", "confirmed", "active") > 0, stand)
        boot = _boot(stand)
        for name in ("bridge", "concentrator"):
            stand.parts[name].kill()
            await asyncio.sleep(0.5)
            await asyncio.to_thread(stand.parts[name].start)
        await house.cut(stand.flats[0].name)
        house.power(stand.flats[0].name)
        # What was on its way to a killed part is sent again after a quarter of an hour; here it is sent again now.
        await _until(lambda: _boot(stand) != boot, stand)  # the new bridge has heard the new concentrator
        stand.rows("update campaigns_delivery set due_at = now() where state = 'delivering' returning id")
    await _until(lambda: count("active") == ADAPTERS, stand)


def _boot(stand: Stand) -> object:
    """Which run of the concentrator the portal has heard last."""
    return stand.rows("select boot from fleet_concentrator")[0][0]


def _handed_over(stand: Stand) -> set[str]:
    """The keys in the files that the adapters are provisioned with and remove."""
    found: set[str] = set()
    for flat in stand.flats:
        file = load_adapter(stand.agents / f"{flat.name}.toml").config.adapter.key_file
        assert file is not None
        content = json.loads(file.read_text())
        found |= {content["root_key"], *(key["key"] for key in content["inner_keys"] + content["transport_keys"])}
    return found


def _telegrams(stand: Stand) -> int:
    return int(str(stand.rows("select count(*) from telemetry_telegram where fport = 16 and error is null")[0][0]))


def _sealed(stand: Stand) -> int:
    """How many adapters sent values that the portal cannot open: their key is the concentrator's now."""
    return int(str(stand.rows("select count(distinct adapter_id) from telemetry_reading where value is null")[0][0]))


def _states(stand: Stand) -> set[tuple[object, ...]]:
    partner = "case when partner = 'portal' then partner else 'concentrator' end"
    return set(
        stand.rows(f"select {partner}, state, count(*) from keys_devicekey where purpose = 'inner' group by 1, 2")
    )


def _visit(stand: Stand) -> None:
    """The web worker has something to do with keys in its memory, if it has any."""
    with urllib.request.urlopen(f"http://127.0.0.1:{stand.ports['web']}/login/") as answer:
        assert answer.status == 200


def _places(stand: Stand) -> list[tuple[str, bytes]]:
    """Everything that outlives a moment, and the memory of the web worker."""
    dump = subprocess.run(
        [str(POSTGRES_BIN / "pg_dump"), stand.env["MSPAN_DATABASE_URL"]], check=True, capture_output=True
    ).stdout
    assert b"keys_devicekey" in dump
    logs = [(f"the log of {name}", part.log().encode()) for name, part in stand.parts.items()]
    files = [(str(file), file.read_bytes()) for file in stand.folder.rglob("*") if _kept(file, stand)]
    web = stand.parts["web"].process
    assert web is not None
    return [("the database", dump), *logs, *files, ("the memory of the web worker", _memory(web.pid))]


def _kept(file: Path, stand: Stand) -> bool:
    """A hand-over file that waits to be read is the one place for clear keys."""
    waiting = {load_adapter(stand.agents / f"{flat.name}.toml").config.adapter.key_file for flat in stand.flats}
    return file.is_file() and file not in waiting


def _memory(pid: int) -> bytes:
    """All writable memory of a process."""
    parts = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            if "rw" in rights and "[v" not in line:
                start, end = (int(edge, 16) for edge in span.split("-"))
                memory.seek(start)
                with contextlib.suppress(OSError):
                    parts.append(memory.read(end - start))
    content = b"".join(parts)
    assert b"portal.settings" in content
    return content


async def _until(true: Callable[[], bool], stand: Stand) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not await asyncio.to_thread(true):
        if time.monotonic() > deadline:
            rows = stand.rows("select adapter_id, state, code, attempts, seq from campaigns_delivery")
            logs = "\n".join(f"== {name}\n{stand.parts[name].log()[-3000:]}" for name in ("bridge", "concentrator"))
            raise AssertionError(f"it never came: {rows}\n{logs}")
        await asyncio.sleep(0.1)
