"""The bridge as a process of its own, with everything around it killed and brought back in mid-stream."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from meterwire.ids import DevEUI
from meterwire.messages import Telegram
from meterwire.seal import InnerKey, ValuesSealer
from meterwire.values_telegram import Value
from tests.portal.bridge.conftest import PORTAL_PASSWORD, Broker
from tests.portal.bridge.peer import Peer
from tests.portal.stage import telegram
from tests.support.console import Console
from tests.support.migrated import migrated_postgres
from tests.support.processes import Service, free_port, redis

pytestmark = pytest.mark.flow
ROOT = Path(__file__).resolve().parents[3]
EUI, DEV_EUI, KEY = "70b3d57ed00cffff", "70b3d57ed1fffffe", bytes(range(16))

# What an operator would have done: one concentrator with a password, one adapter with an inner key.
SEED = f"""
from meterwire.seal import InnerKey
from provisioning.accounts.models import Organisation
from provisioning.fleet.broker import password_hash
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.keys.models import DeviceKey
from provisioning.keys.vault import Vault
org = Organisation.objects.create(name="a", slug="a")
password = password_hash("secret", bytes(12), 1)
Concentrator.objects.create(organisation=org, eui="{EUI}", name="c", mqtt_password=password)
adapter = Adapter.objects.create(organisation=org, dev_eui="{DEV_EUI}", join_eui="{"0" * 16}")
row = DeviceKey(organisation=org, adapter=adapter, purpose="inner", slot=1, state="active", check_value="000000")
row.sealed = Vault.from_settings().seal(row, InnerKey({KEY!r}))
row.save()
"""


@dataclass
class House:
    """The portal's surroundings as processes."""

    environment: dict[str, str]
    database: Service
    redis: Service
    broker: Service

    def bridge(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, str(ROOT / "manage.py"), "run_bridge"], env=self.environment)

    def counts(self) -> tuple[int, int]:
        """Stored telegrams and readings."""
        with psycopg.connect(f"host=127.0.0.1 port={self.database.port} user=mspan dbname=mspan") as connection:
            row = connection.execute(
                "SELECT (SELECT count(*) FROM telemetry_telegram WHERE error IS NULL),"
                " (SELECT count(*) FROM telemetry_reading)"
            ).fetchone()
        assert row is not None
        return row[0], row[1]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    database, cache = migrated_postgres({"fsync": "on"}), redis()
    kek = tmp_path / "kek"
    kek.touch(mode=0o600)
    kek.write_bytes(secrets.token_bytes(32))
    port, folder = free_port(), tmp_path / "broker"
    environment = {
        **os.environ,
        "MSPAN_DATABASE_URL": f"postgres://mspan@127.0.0.1:{database.port}/mspan",
        "MSPAN_REDIS_URL": f"redis://127.0.0.1:{cache.port}/0",
        "MSPAN_KEK_FILE": str(kek),
        "MSPAN_MQTT_PORT": str(port),
        "MSPAN_MQTT_PASSWORD": PORTAL_PASSWORD,
    }
    broker = Broker("mosquitto", port, folder, ["mosquitto", "-c", str(folder / "mosquitto.conf")])
    made = House(environment, database, cache, broker)
    try:
        with Console(environment) as console:
            console.manage("shell", "--no-imports", "-c", SEED)
            console.manage("broker_config", "--out", str(folder))
        broker.start()
        yield made
    finally:
        for service in (broker, cache, database):
            service.stop()


def telegrams(first: int, count: int) -> list[Telegram]:
    sealer = ValuesSealer(InnerKey(KEY), 1, DevEUI.parse(DEV_EUI))
    numbers = range(first, first + count)
    return [
        telegram(DEV_EUI, payload=sealer.seal(number, [Value(1, number), Value(2, number)]), counter=number)
        for number in numbers
    ]


async def test_every_receipted_telegram_is_stored_exactly_once_whatever_is_killed(house: House) -> None:
    bridge = house.bridge()
    try:
        async with Peer(house.broker.port, EUI, "secret") as peer:
            await peer.deliver(*telegrams(0, 60))
            for number, victim in enumerate((house.broker, house.database, house.redis, None), 1):
                async with asyncio.TaskGroup() as group:
                    for part in range(4):
                        group.create_task(peer.deliver(*telegrams(1000 * number + 100 * part, 100)))
                    await asyncio.sleep(0.15)
                    if victim is None:
                        bridge.kill()
                        await asyncio.to_thread(bridge.wait)
                        bridge = house.bridge()
                    else:
                        victim.kill()
                        await asyncio.sleep(0.3)
                        await asyncio.to_thread(victim.start)
        assert {result.code for result in peer.results.values()} == {None}
        assert house.counts() == (60 + 4 * 400, 2 * (60 + 4 * 400))
        bridge.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(bridge.wait, 15) == 0
    finally:
        bridge.kill()
        bridge.wait()
