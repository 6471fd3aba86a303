"""The bridge on a real broker, Redis and database."""

import asyncio
import json
import time
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import OperationalError

from meterwire import messages, topics
from meterwire.messages import Event, Receipt, Result
from portal.bridge import app
from portal.bridge.models import Bridge as BridgeRow
from portal.telemetry.live import last_key
from portal.telemetry.models import AdapterEvent, Reading, Telegram
from portal.telemetry.pipeline import Pipeline
from provisioning.fleet.models import Concentrator
from provisioning.keys.models import DeviceKey
from provisioning.keys.services import issue_root_key
from provisioning.keys.services.lifecycle import activate
from tests.cast import STAGE
from tests.portal.bridge.conftest import Broker, running_bridge
from tests.portal.bridge.peer import DEADLINE_S, Peer, batch, new_id, now, state
from tests.portal.stage import Stage

pytestmark = pytest.mark.django_db(transaction=True)
db = sync_to_async


async def test_telegrams_are_committed_before_they_get_their_receipts(live_stage: Stage, broker: Broker) -> None:
    device = await db(live_stage.device)()
    async with running_bridge(broker.port), broker.peer(live_stage) as peer:
        await peer.deliver(*(device.telegram() for _ in range(150)))
        assert await db(Reading.objects.count)() == 300
        assert {result.code for result in peer.results.values()} == {None}


async def test_open_pages_hear_of_it(live_stage: Stage, broker: Broker) -> None:
    device = await db(live_stage.device)()
    client = redis.Redis.from_url(settings.REDIS_URL)
    with client, client.pubsub() as channel:
        channel.subscribe(f"mspan:org:{live_stage.organisation.pk}")
        channel.get_message(timeout=5)
        async with running_bridge(broker.port), broker.peer(live_stage) as peer:
            began = time.time()
            await peer.deliver(device.telegram())
            message = await asyncio.to_thread(channel.get_message, timeout=5)
        last = client.get(last_key(f"mspan:org:{live_stage.organisation.pk}"))
    assert last is not None, "who opens a page now learns that something was told while it was made"
    assert began <= float(last) <= time.time()
    assert message is not None
    assert [row["adapter"] for row in json.loads(message["data"])] == [device.row.pk]


async def test_the_loss_of_redis_stops_nothing(live_stage: Stage, broker: Broker) -> None:
    device = await db(live_stage.device)()
    async with running_bridge(broker.port, redis_url="redis://127.0.0.1:1/0"), broker.peer(live_stage) as peer:
        for _ in range(3):
            await peer.deliver(device.telegram())


async def test_a_concentrator_cannot_speak_or_listen_on_anothers_branch(live_stage: Stage, broker: Broker) -> None:
    other = await db(Stage)("globex")
    await db(broker.admit)(live_stage.concentrator.eui, other.concentrator.eui)
    device = await db(live_stage.device)()
    async with running_bridge(broker.port), broker.peer(live_stage) as peer, broker.peer(other) as thief:
        forged, mine = device.telegram(), device.telegram()
        heard: list[str] = []
        thief.link._on_message = lambda topic, _: _note(heard, topic)  # type: ignore[assignment]
        assert thief.link._client is not None
        await thief.link._client.subscribe("mspan/1/#", qos=1)
        await thief.link.publish(topics.topic(peer.eui, topics.UP_TELEGRAM), messages.encode(batch(forged)))
        await peer.deliver(mine)
        assert await db(list)(Telegram.objects.values_list("pk", flat=True)) == [mine.id]
        assert heard == []


async def _note(heard: list[str], topic: str) -> None:
    heard.append(topic)


async def test_wrong_passwords_do_not_connect(
    live_stage: Stage, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    peer = Peer(broker.port, live_stage.concentrator.eui, "wrong")
    task = asyncio.ensure_future(peer.link.run())
    await peer.expect(lambda: caplog.messages.count("no connection to the broker") >= 3)
    assert not peer.link.connected
    assert peer.link.connections == 0
    peer.link.stop()
    await task


async def test_a_new_password_file_is_read_without_a_restart(live_stage: Stage, broker: Broker) -> None:
    new = await db(Stage)("globex")
    await db(broker.admit)(new.concentrator.eui)
    async with broker.peer(new):
        pass


async def test_a_message_of_a_wrong_version_is_recorded_and_not_receipted(live_stage: Stage, broker: Broker) -> None:
    device = await db(live_stage.device)()
    body = json.loads(messages.encode(batch(device.telegram())))
    async with running_bridge(broker.port), broker.peer(live_stage) as peer:
        await peer.send(topics.UP_TELEGRAM, json.dumps({**body, "v": 2}).encode())
        await peer.send(topics.UP_TELEGRAM, b"\xff" * 1000)
        await peer.send(topics.UP_TELEGRAM, b" " * 300_000)
        await peer.deliver(device.telegram())
        assert len(peer.results) == 1
    reasons = await db(set)(AdapterEvent.objects.values_list("reason", flat=True))
    assert reasons == {"unsupported_version", "format", "limit"}


async def test_events_are_receipted_and_states_update_the_concentrator(live_stage: Stage, broker: Broker) -> None:
    async with running_bridge(broker.port), broker.peer(live_stage) as peer:
        happened = Event(new_id(), now(), "gateway", reason="online")
        await peer.send(topics.UP_EVENT, happened)
        await peer.send(topics.STATE, state(version="9.9.9"), retain=True)
        await peer.expect(lambda: happened.id in peer.results)
    await db(live_stage.concentrator.refresh_from_db)()
    assert live_stage.concentrator.version == "9.9.9"
    assert await db(AdapterEvent.objects.filter(pk=happened.id, kind="gateway").exists)()


async def test_the_device_table_is_sent_until_the_concentrator_runs_it(
    live_stage: Stage, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.bridge.commands.RESEND_S", 0.3)
    monkeypatch.setattr(app, "COMMAND_S", 0.1)
    device = await db(live_stage.device)()
    await db(_serve)(live_stage, device.row.dev_eui)
    async with running_bridge(broker.port), broker.peer(live_stage) as peer:
        await peer.send(topics.STATE, state(revision=0))
        await peer.expect(lambda: len(peer.commands) >= 2)
        first, again = peer.commands[:2]
        assert first.base is None
        assert [entry.dev_eui for entry in first.upsert] == [device.row.dev_eui]
        assert again.revision == first.revision
        assert again.id != first.id

        await peer.send(topics.UP_RECEIPT, Receipt(new_id(), now(), (Result(peer.commands[-1].id),)))
        await peer.send(topics.STATE, state(revision=first.revision))
        await _runs(live_stage, first.revision)
        await db(_more)(live_stage)
        await peer.expect(lambda: peer.commands[-1].revision > first.revision)
        assert peer.commands[-1].base == first.revision

        seen = len(peer.commands)
        async with asyncio.timeout(DEADLINE_S):
            while not any(command.base is None for command in peer.commands[seen:]):
                gap = Result(peer.commands[-1].id, "revision_gap", "I run something else")
                await peer.send(topics.UP_RECEIPT, Receipt(new_id(), now(), (gap,)))
                await asyncio.sleep(0.05)


async def _runs(stage: Stage, revision: int) -> None:
    """Wait until the portal has heard that the concentrator runs this."""
    async with asyncio.timeout(DEADLINE_S):
        while not await db(Concentrator.objects.filter(pk=stage.concentrator.pk, running_revision=revision).exists)():
            await asyncio.sleep(0.02)


def _serve(stage: Stage, dev_eui: str) -> None:
    """Approve the concentrator's key, so that it can be given root keys."""
    from django.utils import timezone

    from meterwire.transport_key import public_key

    Concentrator.objects.filter(pk=stage.concentrator.pk).update(
        public_key=public_key(bytes(range(32))).hex(), key_approved_at=timezone.now()
    )
    _root(stage, dev_eui)


def _root(stage: Stage, dev_eui: str) -> None:
    from provisioning.fleet.models import Adapter

    activate(STAGE, issue_root_key(STAGE, Adapter.objects.get(dev_eui=dev_eui)))


def _more(stage: Stage) -> None:
    _root(stage, stage.device().row.dev_eui)


async def test_the_broker_may_go_and_come_back(live_stage: Stage, broker: Broker) -> None:
    device = await db(live_stage.device)()
    async with running_bridge(broker.port), broker.peer(live_stage) as peer:
        await peer.deliver(device.telegram())
        broker.kill()
        async with asyncio.TaskGroup() as group:
            group.create_task(peer.deliver(*(device.telegram() for _ in range(100))))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(broker.start)
    assert await db(Telegram.objects.count)() == 101


async def test_nothing_is_receipted_while_the_database_is_away(
    live_stage: Stage, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await db(live_stage.device)()
    monkeypatch.setattr(app, "RETRY_MAX_S", 0.3)
    run = Pipeline.run
    away = True

    def maybe(self: Pipeline, batch_: Any) -> None:
        if away:
            raise OperationalError("the database system is shutting down")
        run(self, batch_)

    monkeypatch.setattr(Pipeline, "run", maybe)
    async with running_bridge(broker.port) as bridge, broker.peer(live_stage) as peer:
        telegrams = [device.telegram() for _ in range(130)]
        for _ in range(3):
            await peer.send(topics.UP_TELEGRAM, batch(*telegrams[:60]))
        await peer.expect(lambda: bridge.figures["failed_batches"] >= 2)
        assert peer.results == {}
        away = False
        await peer.deliver(*telegrams)
    assert await db(Telegram.objects.count)() == 130


async def test_a_flood_waits_in_bounded_queues(
    live_stage: Stage, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await db(live_stage.device)()
    monkeypatch.setattr(app, "MAX_MAILS", 3)
    run = Pipeline.run
    monkeypatch.setattr(Pipeline, "run", lambda self, batch_: (time.sleep(0.05), run(self, batch_))[1])
    async with running_bridge(broker.port) as bridge, broker.peer(live_stage) as peer:
        sending = [asyncio.ensure_future(peer.deliver(*(device.telegram() for _ in range(20)))) for _ in range(20)]
        while not all(task.done() for task in sending):
            assert bridge._inbox.qsize() <= 3
            await asyncio.sleep(0.02)
        await asyncio.gather(*sending)
    assert await db(Telegram.objects.count)() == 400


async def test_the_heartbeat_tells_that_it_lives_and_what_it_did(live_stage: Stage, broker: Broker) -> None:
    device = await db(live_stage.device)()
    async with running_bridge(broker.port), broker.peer(live_stage) as peer:
        await peer.deliver(device.telegram())
    row = await db(BridgeRow.objects.get)()
    assert row.name == "test"
    assert (time.time() - row.at.timestamp()) < 30


async def test_several_bridges_share_the_telegrams(live_stage: Stage, broker: Broker) -> None:
    devices = [await db(live_stage.device)() for _ in range(4)]
    async with (
        running_bridge(broker.port, name="one", group="bridges") as one,
        running_bridge(broker.port, name="two", group="bridges", link=_other(broker.port)) as two,
        broker.peer(live_stage) as peer,
    ):
        await asyncio.gather(
            *(peer.deliver(device.telegram(), device.telegram()) for device in devices for _ in range(5))
        )
        assert one.figures["telegrams"] > 0
        assert two.figures["telegrams"] > 0
    assert await db(Telegram.objects.count)() == 40
    assert await db(DeviceKey.objects.count)() == 4


def _other(port: int) -> Any:
    from tests.portal.bridge.conftest import PORTAL_PASSWORD, LinkSettings

    return LinkSettings("127.0.0.1", port, "portal-other", "portal", PORTAL_PASSWORD, max_inflight=100)


async def test_a_part_that_overhears_its_cancellation_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "CANCEL_AGAIN_S", 0.01)
    asked = []

    async def deaf() -> None:
        while len(asked) < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                asked.append(1)
        raise asyncio.CancelledError

    part = asyncio.ensure_future(deaf())
    await asyncio.sleep(0)

    await asyncio.wait_for(app._end([part]), 5)

    assert (part.done(), len(asked)) == (True, 3)
