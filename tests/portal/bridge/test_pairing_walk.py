"""The walk of a pairing on a real broker, Redis and database: concentrator away, bridge restarted, adapter reset."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from django.conf import settings

from meterwire import config_records, identity, topics
from meterwire.config_records import CounterReport, FirmwareReport, ReadIdentity
from meterwire.ids import DevEUI
from meterwire.messages import Event, Receipt, Result, Telegram
from meterwire.registers import register_number
from portal.bridge import app
from portal.bridge.heartbeat import Heartbeat
from provisioning.fleet.models import Concentrator
from provisioning.pairing.models import Pairing, PairingStep
from tests.portal.bridge.conftest import Broker, running_bridge
from tests.portal.bridge.peer import DEADLINE_S, Peer, new_id, now, state
from tests.portal.installed import Installed, number
from tests.portal.stage import Stage, telegram

pytestmark = pytest.mark.django_db(transaction=True)
db = sync_to_async


def paired(stage: Stage) -> Installed:
    """Paired a moment ago by the real clock, the adapter new to its concentrator."""
    installed = Installed(stage)
    began = datetime.now(UTC) - timedelta(seconds=1)
    Pairing.objects.update(from_at=began)
    Concentrator.objects.update(online=False)
    return installed


def report(installed: Installed, version: int) -> Telegram:
    named = ReadIdentity(0, 1, number(1).server_id())
    [payload] = config_records.encode(version, [CounterReport(5), FirmwareReport("1.0"), named])
    return telegram(installed.device.row.dev_eui, fport=33, payload=payload, received_at=now())


def proof(installed: Installed) -> Telegram:
    dev_eui = DevEUI.parse(installed.device.row.dev_eui)
    value = identity.identity_hash(dev_eui, 0, number(1).server_id())
    return installed.device.telegram((1, 12_345_678), (register_number(31), value), received_at=now())


def joined(installed: Installed) -> Event:
    detail = {"gw": "70b3d57ed0000f01", "rssi": -97.0, "snr": 7.5, "epoch": 1, "dev_addr": "00000001"}
    return Event(new_id(), now(), "joined", dev_eui=installed.device.row.dev_eui, detail=detail)


async def reached(*steps: str) -> None:
    """Wait until these stations are written down."""
    until = time.monotonic() + DEADLINE_S
    while not set(steps) <= set(await db(list)(PairingStep.objects.values_list("step", flat=True))):
        assert time.monotonic() < until, f"{steps} not reached"
        await asyncio.sleep(0.05)


async def test_a_pairing_reaches_its_first_reading_although_everything_fails_once(
    live_stage: Stage, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Heartbeat, "CHORES_S", 1e9)
    monkeypatch.setattr(app, "PAIR_S", 0.1)
    monkeypatch.setattr(app, "COMMAND_S", 0.1)
    installed = await db(paired)(live_stage)
    revision = live_stage.concentrator.desired_revision

    # The concentrator was off while the installer paired.
    async with running_bridge(broker.port), broker.peer(live_stage) as peer:
        await peer.send(topics.STATE, state(revision=revision), retain=True)
        await peer.expect(lambda: peer.commands)  # the adapter has got a slot, which the table tells
        revision = peer.commands[-1].revision
        await peer.send(topics.STATE, state(revision=revision), retain=True)
        await reached("informed")
        await peer.send(topics.UP_EVENT, joined(installed))
        await peer.expect(lambda: peer.downlinks)
        first = peer.downlinks[-1]
        assert (first.dev_eui, first.fport) == (installed.device.row.dev_eui, 33)

    async with running_bridge(broker.port), broker.peer(live_stage) as peer:  # the portal was restarted
        await peer.send(topics.STATE, state(revision=revision), retain=True)
        await peer.expect(lambda: peer.downlinks)
        assert peer.downlinks[-1] == first
        await _finished(peer, first.id)
        await peer.deliver(report(installed, version=0))  # the adapter was reset before it had stored it
        await peer.expect(lambda: peer.downlinks[-1].id != first.id)
        await _finished(peer, peer.downlinks[-1].id)
        await peer.deliver(report(installed, config_records.decode(first.payload).version))
        await reached("configured")
        await peer.deliver(proof(installed))
        await reached("identity", "reading")

    pairing = await db(Pairing.objects.get)()
    assert (pairing.state, pairing.identity) == ("confirmed", "match")


async def test_open_pages_hear_of_each_station(live_stage: Stage, broker: Broker) -> None:
    installed = await db(paired)(live_stage)
    client = redis.Redis.from_url(settings.REDIS_URL)
    with client, client.pubsub() as channel:
        channel.subscribe(f"mspan:org:{live_stage.organisation.pk}")
        channel.get_message(timeout=5)
        async with running_bridge(broker.port), broker.peer(live_stage) as peer:
            await peer.send(topics.UP_EVENT, joined(installed))
            rows = await asyncio.to_thread(_rows, channel)
    assert {"kind": "pairing", "adapter": installed.device.row.pk} == {
        name: rows[-1][name] for name in ("kind", "adapter")
    }


def _rows(channel: Any) -> list[dict[str, Any]]:
    """All changes until one of a pairing comes."""
    rows: list[dict[str, Any]] = []
    until = time.monotonic() + DEADLINE_S
    while not any(row["kind"] == "pairing" for row in rows) and time.monotonic() < until:
        message = channel.get_message(timeout=1)
        if message is not None:
            rows += json.loads(message["data"])
    return rows


async def _finished(peer: Peer, command: str) -> None:
    """The concentrator took the command and the adapter acknowledged it."""
    await peer.send(topics.UP_RECEIPT, Receipt(new_id(), now(), (Result(command),)))
    ended = Event(
        new_id(), now(), "downlink", dev_eui=peer.downlinks[-1].dev_eui, reason="acknowledged",
        detail={"command": command, "attempts": 1},
    )  # fmt: skip
    await peer.send(topics.UP_EVENT, ended)
    await peer.expect(lambda: ended.id in peer.results)
