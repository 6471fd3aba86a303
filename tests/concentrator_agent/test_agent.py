"""The whole agent on a real broker and real UDP: it serves gateways, delivers, and obeys the portal."""

import base64
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from concentrator_agent.app import ConcentratorApp
from concentrator_agent.config import Udp
from concentrator_agent.radio.forwarders import UdpUnusable
from edge.database import StorageUnusable
from meterwire import messages, topics
from meterwire.ids import GatewayEUI
from tests.concentrator_agent.field import (
    EUI,
    GATEWAY,
    NOW,
    Gateway,
    Portal,
    config_for,
    eventually,
    identifier,
    join,
    running,
)
from tests.concentrator_agent.lab import Mote
from tests.support.mosquitto import Broker, mosquitto


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = mosquitto({EUI: "c-secret", "portal": "p-secret"}, {"portal": ["topic readwrite mspan/#"]})
    yield broker
    broker.stop()


@pytest.fixture
async def portal(broker: Broker) -> AsyncIterator[Portal]:
    portal = Portal(broker.port)
    await portal.link.wait_connected()
    yield portal
    await portal.close()


async def test_the_walk_from_table_to_telegram_and_back(tmp_path: Path, broker: Broker, portal: Portal) -> None:
    async with running(config_for(tmp_path, broker)) as app:
        mote = Mote()
        await portal.devices(mote)
        await eventually(lambda: portal.states[-1].devices == 1)
        assert portal.states[-1].public_key == app.public_key
        gateway = await Gateway().open(app.udp_port)
        await join(gateway, mote)
        await gateway.push(mote.frame(b"reading", confirmed=True))
        packet = await gateway.downlink()
        assert mote.read(base64.b64decode(packet["data"]), 0).ack
        assert packet["tmst"] == (gateway.tmst + 1_000_000) % 2**32
        await eventually(lambda: len(portal.telegrams) == 1)
        telegram = portal.telegrams[0]
        assert (telegram.dev_eui, telegram.payload, telegram.fcnt) == (mote.dev_eui, b"reading", 0)
        assert [(rx.gw, rx.rssi, rx.snr) for rx in telegram.rx] == [(GATEWAY, -71.0, 9.2)]
        await eventually(lambda: app.outbox.stats().depth == 0)
        await eventually(lambda: {event.kind for event in portal.events} >= {"joined", "gateway"})
        command = messages.DownlinkCommand(
            identifier(), NOW, mote.dev_eui, 33, b"configuration", "2099-01-01T00:00:00.000Z"
        )
        await portal.send(topics.DN_COMMAND, command)
        await eventually(lambda: portal.answered().get(command.id, "") is None)
        await gateway.push(mote.frame())
        packet = await gateway.downlink()
        assert mote.read(base64.b64decode(packet["data"]), 1).payload == b"configuration"
        await eventually(lambda: any(event.reason == "sent" for event in portal.events))
        gateway.transport.close()
    await eventually(lambda: not portal.states[-1].online)
    assert portal.states[-1].boot == portal.states[0].boot


async def test_while_the_broker_is_away_everything_is_kept_and_then_delivered_once(
    tmp_path: Path, broker: Broker, portal: Portal
) -> None:
    async with running(config_for(tmp_path, broker)) as app:
        mote = Mote()
        await portal.devices(mote)
        gateway = await Gateway().open(app.udp_port)
        await join(gateway, mote)
        broker.kill()
        for number in range(20):
            await gateway.push(mote.frame(b"%d" % number, confirmed=True))
            await gateway.downlink()
        assert app.outbox.stats().depth >= 20
        broker.start()
        await eventually(lambda: app.outbox.stats().depth == 0, 20)
        payloads = [telegram.payload for telegram in portal.telegrams]
        assert sorted(set(payloads), key=int) == [b"%d" % number for number in range(20)]
        assert len({telegram.id for telegram in portal.telegrams}) == 20
        gateway.transport.close()


async def test_without_receipts_everything_is_sent_again_even_by_the_next_process(
    tmp_path: Path, broker: Broker, portal: Portal
) -> None:
    config = config_for(tmp_path, broker)
    mote = Mote()
    async with running(config) as app:
        await portal.devices(mote)
        gateway = await Gateway().open(app.udp_port)
        await join(gateway, mote)
        portal.receipting = False
        await gateway.push(mote.frame(b"precious", confirmed=True))
        await gateway.downlink()
        await eventually(lambda: len(portal.telegrams) >= 2)
        gateway.transport.close()
    before = len(portal.telegrams)
    portal.receipting = True
    async with running(config) as app:
        await eventually(lambda: len(portal.telegrams) > before and app.outbox.stats().depth == 0)
    assert {telegram.id for telegram in portal.telegrams} == {portal.telegrams[0].id}


async def test_messages_that_cannot_be_read_change_nothing(tmp_path: Path, broker: Broker, portal: Portal) -> None:
    async with running(config_for(tmp_path, broker)) as app:
        mote = Mote()
        await portal.devices(mote)
        body = messages.encode(messages.DevicesCommand(identifier(), NOW, 2))
        bad = [
            b"",
            b"{",
            b"[" * 100_000,
            body.replace(b'"v":1', b'"v":2'),
            body.replace(b'"revision":2', b'"revision":0'),
            body.replace(b'"kind":"devices"', b'"kind":"unknown"'),
            b'{"v":1,"kind":"devices","upsert":[' + b"{}," * 100_000 + b"{}]}",
        ]
        for branch in (topics.DN_COMMAND, topics.DN_RECEIPT):
            for one in bad:
                await portal.link.publish(topics.topic(EUI, branch), one)
        unknown = messages.DownlinkCommand(identifier(), NOW, "0" * 16, 1, b"", "2099-01-01T00:00:00.000Z")
        nonsense = messages.DownlinkCommand(identifier(), NOW, mote.dev_eui, 1, b"", "2099-02-31T00:00:00.000Z")
        gap = messages.DevicesCommand(identifier(), NOW, 9, base=8)
        for command in (unknown, nonsense, gap):
            await portal.send(topics.DN_COMMAND, command)
        await eventually(lambda: gap.id in portal.answered())
        answered = portal.answered()
        assert [answered[one.id] for one in (unknown, nonsense, gap)] == ["unknown_device", "format", "revision_gap"]
        assert (app.table.revision, app.table.count) == (1, 1)


async def test_foreign_gateways_and_garbage_are_counted_and_answered_with_silence(tmp_path: Path) -> None:
    config = config_for(tmp_path, allowed_gateways=(GatewayEUI.parse(GATEWAY),))
    async with running(config) as app:
        gateway = await Gateway().open(app.udp_port)
        foreign = bytes.fromhex("bb" * 8)
        for datagram in (
            b"\x02",
            b"hello",
            b"\x02\x00\x00\x00" + foreign + b"{}",
            b"\x02\x00\x00\x00" + gateway.eui + b"{nonsense",
            b"\x02\x00\x00\x00" + gateway.eui + b'{"rxpk":[{"tmst":1,"freq":868.1,"datr":"SF7BW125","data":"?"}]}',
            b"\x01\x00\x00\x00" + gateway.eui + b"{}",
        ):
            gateway.send(datagram)
        await eventually(lambda: app.forwarders.counts["version"] == 1)
        assert dict(app.forwarders.counts) == {
            "not_gwmp": 2,
            "foreign_gateway": 1,
            "json": 1,
            "base64": 1,
            "version": 1,
        }
        assert list(app.forwarders.known) == [GATEWAY]
        assert await gateway.answer() == b"\x02\x00\x00\x01"  # one of them was a good datagram with a bad packet
        gateway.transport.close()


async def test_pull_resp_follows_the_last_pull_data_and_errors_lead_to_rx2(
    tmp_path: Path, broker: Broker, portal: Portal
) -> None:
    async with running(config_for(tmp_path, broker)) as app:
        mote = Mote()
        await portal.devices(mote)
        first = await Gateway().open(app.udp_port)
        await join(first, mote)
        second = await Gateway().open(app.udp_port)  # the same gateway from another port
        await first.push(mote.frame(confirmed=True))
        assert mote.read(base64.b64decode((await second.downlink())["data"]), 0).ack
        second.error = "TOO_LATE"
        await first.push(mote.frame(confirmed=True))
        packets = [await second.downlink(), await second.downlink()]
        assert [packet["freq"] for packet in packets] == [868.3, 869.525]
        assert packets[0]["data"] == packets[1]["data"]
        await eventually(lambda: app.forwarders.counts["tx_too_late"] == 2)
        first.transport.close()
        second.transport.close()


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    async with running(config_for(tmp_path / "a")) as app:
        other = msgspec.structs.replace(config_for(tmp_path / "b"), udp=Udp(port=app.udp_port))
        with pytest.raises(UdpUnusable, match=f"127.0.0.1:{app.udp_port}"):
            await ConcentratorApp(other).run()


async def test_two_processes_never_share_one_state(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    async with running(config):
        with pytest.raises(StorageUnusable, match="another process"):
            await ConcentratorApp(config).run()
