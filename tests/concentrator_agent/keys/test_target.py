"""Opened values reach another system's real broker, survive its absence, and no closed interface lets them out."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from concentrator_agent.backhaul.target import MqttTarget
from concentrator_agent.config import Config, TargetMqtt, Targets
from concentrator_agent.modes import Gate, GateSettings, Mode, Side
from concentrator_agent.store import MIGRATIONS
from edge.clock import SystemClock
from edge.database import Database
from edge.mqtt import LinkDown, LinkSettings, MqttLink
from edge.outbox import Entry, Limits, Outbox
from meterwire import messages, topics
from meterwire.config_records import CounterReport, encode
from meterwire.ids import DevEUI
from meterwire.key_messages import Place
from meterwire.messages import RekeyCommand
from meterwire.seal import Value, ValuesSealer
from meterwire.transport_key import wrap
from tests.concentrator_agent.field import EUI, NOW, Gateway, Portal, config_for, entry, eventually, identifier, join
from tests.concentrator_agent.field import running as run_agent
from tests.concentrator_agent.keys.cast import PLACE, TRANSPORT
from tests.concentrator_agent.lab import CONCENTRATOR, Mote
from tests.portal.bridge.keyholder import Keyholder
from tests.support.mosquitto import Broker, mosquitto

BODY = msgspec.json.encode({"dev_eui": "70b3d57ed0060001", "values": []})


@pytest.fixture
def customers() -> Iterator[Broker]:
    broker = mosquitto()
    yield broker
    broker.stop()


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = mosquitto({EUI: "c-secret", "portal": "p-secret"}, {"portal": ["topic readwrite mspan/#"]})
    yield broker
    broker.stop()


class Listener:
    """The other system."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, Any]] = []
        settings = LinkSettings("127.0.0.1", port, "scada", reconnect_min_s=0.05, reconnect_max_s=0.2)
        self.link = MqttLink(settings, ["meterspan/#"], self._take)
        self.task = asyncio.ensure_future(self.link.run())

    async def _take(self, topic: str, body: bytes) -> None:
        self.heard.append((topic, msgspec.json.decode(body)))


@pytest.fixture
async def listener(customers: Broker) -> AsyncIterator[Listener]:
    listener = Listener(customers.port)
    await listener.link.wait_connected()
    yield listener
    listener.link.stop()
    await asyncio.wait_for(listener.task, 5)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    database = Database(tmp_path / "c.db", MIGRATIONS)
    database.open()
    yield Outbox(database, Limits(), SystemClock(), "target")
    database.close()


def target(broker: Broker, outbox: Outbox, gate: Gate) -> MqttTarget:
    settings = TargetMqtt(host="127.0.0.1", port=broker.port, tls=False, reconnect_max_s=0.3)
    made = MqttTarget(settings, EUI, outbox, gate, SystemClock())
    outbox.wake = made.wake
    return made


async def test_what_waits_while_the_broker_is_away_goes_out_afterwards(
    customers: Broker, listener: Listener, outbox: Outbox
) -> None:
    running = asyncio.ensure_future(target(customers, outbox, Gate(GateSettings())).run())
    customers.kill()
    await outbox.put([Entry("1", "values", 0.0, BODY)])
    assert outbox.stats().depth == 1
    customers.start()
    await eventually(lambda: outbox.stats().depth == 0 and bool(listener.heard))
    assert listener.heard[0][0] == "meterspan/values/70b3d57ed0060001"
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_closed_interface_lets_nothing_out_until_its_turn(
    customers: Broker, listener: Listener, outbox: Outbox
) -> None:
    gate = Gate(GateSettings(Mode.SMGW, exclusive=True))
    running = asyncio.ensure_future(target(customers, outbox, gate).run())
    await outbox.put([Entry("1", "values", 0.0, BODY)])
    await asyncio.sleep(0)
    assert (outbox.stats().depth, listener.heard) == (1, [])
    gate.turn(Side.THIRD)
    await eventually(lambda: len(listener.heard) == 1)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_without_a_connection_nothing_is_taken_out_of_the_queue(customers: Broker, outbox: Outbox) -> None:
    made = target(customers, outbox, Gate(GateSettings()))
    [stored] = [Entry("1", "values", 0.0, BODY)]
    await outbox.put([stored])
    with pytest.raises(LinkDown):
        await made._publish(outbox.after(0, 1)[0])
    assert outbox.stats().depth == 1


def configured(folder: Path, broker: Broker, customers: Broker) -> Config:
    mqtt = TargetMqtt(host="127.0.0.1", port=customers.port, tls=False)
    return msgspec.structs.replace(config_for(folder, broker), targets=Targets(mqtt=mqtt))


class Air:
    """The adapter over UDP: what comes down on port 34 is answered at once."""

    def __init__(self, mote: Mote) -> None:
        self.mote, self.keys = mote, Keyholder(DevEUI.parse(mote.dev_eui), TRANSPORT)

    async def say(self, gateway: Gateway, payload: bytes, fport: int) -> bytes | None:
        await gateway.push(self.mote.frame(payload, fport, confirmed=True, ack=True))
        packet = await gateway.downlink()
        phy = base64.b64decode(packet["data"])
        frame = self.mote.read(phy, int.from_bytes(phy[6:8], "little"))
        return frame.payload if frame.fport == 34 else None


async def test_order_agreement_and_values_on_real_brokers_with_the_concentrator_killed_on_the_way(
    tmp_path: Path, broker: Broker, customers: Broker, listener: Listener
) -> None:
    portal, mote = Portal(broker.port), Mote()
    air, config = Air(mote), configured(tmp_path, broker, customers)
    async with run_agent(config) as app:
        await eventually(lambda: bool(portal.states))
        public = bytes.fromhex(app.public_key)
        shared = wrap(
            public, TRANSPORT.reveal(), concentrator=CONCENTRATOR, dev_eui=DevEUI.parse(mote.dev_eui),
            purpose="transport", ephemeral_private=b"e" * 32,
        )  # fmt: skip
        row = msgspec.structs.replace(entry(mote, public), transport_key=shared)
        await portal.send(topics.DN_COMMAND, messages.DevicesCommand(identifier(), NOW, 1, upsert=(row,)))
        await eventually(lambda: portal.states[-1].devices == 1)
        gateway = await Gateway().open(app.udp_port)
        await join(gateway, mote)
        await air.say(gateway, encode(0, [CounterReport(500)])[0], 33)
        order = RekeyCommand(identifier(), NOW, mote.dev_eui, 1, PLACE.octet, "brainpoolP256r1")
        await portal.send(topics.DN_COMMAND, order)
        await eventually(lambda: order.id in portal.answered())
        assert portal.answered()[order.id] is None
        offer = await air.say(gateway, b"\x01", 19)
        assert offer is not None
        confirm = await air.say(gateway, air.keys.hears(offer), 34)
        gateway.transport.close()
    assert confirm is not None
    async with run_agent(config) as app:
        gateway = await Gateway().open(app.udp_port)
        await air.say(gateway, air.keys.hears(confirm), 34)
        await eventually(lambda: any(event.kind == "rekeyed" for event in portal.events))
        told = next(event for event in portal.events if event.kind == "rekeyed")
        key = air.keys.held[PLACE]
        assert (told.reason, told.detail["check"]) == ("ok", key.check_value().hex())
        sealed = ValuesSealer(key, PLACE.slot, air.keys.dev_eui).seal(501, [Value(1, 56_841_020), Value(20, 1234)])
        proof = await air.say(gateway, sealed, 16)
        assert proof is not None
        air.keys.hears(proof)
        await eventually(lambda: len(listener.heard) == 1)
        topic, body = listener.heard[0]
        assert topic == f"meterspan/values/{mote.dev_eui}"
        assert [(one["obis"], one["value"], one["unit"]) for one in body["values"]] == [
            ("1-0:1.8.0", 56_841_020, "Wh"), ("8-0:1.0.0", 1.234, "m3"),
        ]  # fmt: skip
        await eventually(lambda: any(telegram.payload == sealed for telegram in portal.telegrams))
        gateway.transport.close()
    assert air.keys.proved == [Place(1, PLACE.slot)]
    await portal.close()
