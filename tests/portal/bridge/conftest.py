"""A real broker with the configuration that the portal writes, and a bridge on it."""

import asyncio
import io
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.management import call_command
from django.db import connections

from edge.mqtt import LinkSettings
from portal.bridge.app import Bridge, BridgeSettings
from provisioning.fleet.broker import SALT_BYTES, password_hash
from tests.portal.bridge.peer import Peer
from tests.portal.stage import Stage
from tests.support.processes import Service, free_port

PORTAL_PASSWORD = "the portal's own password"


@pytest.fixture(autouse=True)
async def no_connection_stays() -> AsyncIterator[None]:
    """`sync_to_async` works in a thread of its own, whose connection would outlive the test database."""
    yield
    await sync_to_async(connections.close_all)()


@pytest.fixture
def live_stage(transactional_db: None) -> Stage:
    """A stage whose commits are real, for code in other threads."""
    return Stage()


class Broker(Service):
    """Mosquitto, started on the folder that `manage.py broker_config` wrote."""

    def password(self, eui: str) -> str:
        return f"password of {eui}"

    def admit(self, *euis: str) -> None:
        """Give these concentrators passwords and tell the broker."""
        from provisioning.fleet.models import Concentrator

        for eui in euis:
            hashed = password_hash(self.password(eui), bytes(SALT_BYTES), 1)
            Concentrator.objects.filter(eui=eui).update(mqtt_password=hashed)
        call_command("broker_config", out=self.folder, port=self.port, reload=True, stdout=io.StringIO())

    def peer(self, stage: Stage) -> Peer:
        return Peer(self.port, stage.concentrator.eui, self.password(stage.concentrator.eui))


@pytest.fixture
def broker(live_stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    folder, port = Path(tempfile.mkdtemp(prefix="mspan-broker-")), free_port()
    monkeypatch.setitem(settings.MQTT, "password", PORTAL_PASSWORD)
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    service = Broker("mosquitto", port, folder, [program, "-c", str(folder / "mosquitto.conf")])
    service.admit(live_stage.concentrator.eui)
    service.start()
    yield service
    service.stop()


@asynccontextmanager
async def running_bridge(port: int, **changes: object) -> AsyncIterator[Bridge]:
    """A bridge in this process, connected; stopped as by SIGTERM at the end."""
    link = LinkSettings(
        "127.0.0.1", port, "portal-test", "portal", PORTAL_PASSWORD, keepalive_s=5, reconnect_min_s=0.05,
        reconnect_max_s=0.2, max_inflight=100,
    )  # fmt: skip
    bridge = Bridge(replace(BridgeSettings("test", link, settings.REDIS_URL), **changes))  # type: ignore[arg-type]
    task = asyncio.ensure_future(bridge.run())
    try:
        async with asyncio.timeout(20):
            while not bridge.connected:
                await asyncio.sleep(0.02)
                assert not task.done(), task.exception()
        yield bridge
    finally:
        bridge.stop()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, 20)
