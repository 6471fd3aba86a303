"""The agent in the field: a running concentrator, packet forwarders over UDP, and a portal behind a broker."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from concentrator_agent.app import ConcentratorApp
from concentrator_agent.config import Concentrator, Config, Mqtt, Outbox, Udp
from edge.mqtt import LinkDown, LinkSettings, MqttLink
from meterwire import messages, topics, transport_key
from meterwire.ids import DevEUI, GatewayEUI
from tests.concentrator_agent.lab import JOIN_EUI, Mote
from tests.support.mosquitto import Broker

EUI = "0011223344556677"
GATEWAY = "aa00000000000001"
DEADLINE_S = 30.0  # of what comes within moments on a machine that is not busy


def config_for(folder: Path, broker: Broker | None = None, **udp: Any) -> Config:
    mqtt = None
    if broker is not None:
        password = folder / "password"
        password.touch(mode=0o600)
        password.write_text("c-secret\n")
        mqtt = Mqtt(host="127.0.0.1", port=broker.port, tls=False, password_file=password, reconnect_max_s=0.5)
    return Config(
        concentrator=Concentrator(eui=GatewayEUI.parse(EUI), state_dir=folder / "state"),
        udp=Udp(port=0, **udp),
        mqtt=mqtt,
        outbox=Outbox(resend_s=1.0),
    )


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[ConcentratorApp]:
    app = ConcentratorApp(config, notify=lambda message: None)
    task = asyncio.ensure_future(app.run())
    ready = asyncio.ensure_future(app.ready.wait())
    await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield app
    finally:
        app.stop()
        await asyncio.wait_for(task, DEADLINE_S)


class Gateway:
    """A packet forwarder over UDP."""

    def __init__(self, eui: str = GATEWAY) -> None:
        self.eui = bytes.fromhex(eui)
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        self.downlinks: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.error: str | None = None
        self.tmst = 4_294_000_000

    async def open(self, port: int) -> "Gateway":
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=("127.0.0.1", port))  # type: ignore[arg-type, return-value]
        self.send(b"\x02\x00\x01\x02" + self.eui)
        assert await self.answer() == b"\x02\x00\x01\x04"
        return self

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        pass

    def connection_lost(self, error: Exception | None) -> None:
        pass

    def error_received(self, error: Exception) -> None:
        pass

    def datagram_received(self, datagram: bytes, address: tuple[str, int]) -> None:
        if datagram[3] == 3:
            body = {"txpk_ack": {"error": self.error}} if self.error else None
            acknowledgement = json.dumps(body).encode() if body else b""
            self.send(b"\x02" + datagram[1:3] + b"\x05" + self.eui + acknowledgement)
            self.downlinks.put_nowait(json.loads(datagram[4:])["txpk"])
        else:
            self.received.put_nowait(datagram)

    def send(self, datagram: bytes) -> None:
        self.transport.sendto(datagram)

    async def answer(self) -> bytes:
        return await asyncio.wait_for(self.received.get(), DEADLINE_S)

    async def push(self, frame: bytes, **changes: Any) -> None:
        self.tmst = (self.tmst + 1_000_000) % 2**32
        packet = {"tmst": self.tmst, "freq": 868.3, "datr": "SF7BW125", "rssi": -71, "lsnr": 9.2, "stat": 1}
        packet["data"] = base64.b64encode(frame).decode()
        self.send(b"\x02\xab\xcd\x00" + self.eui + json.dumps({"rxpk": [packet | changes]}).encode())
        assert await self.answer() == b"\x02\xab\xcd\x01"

    async def downlink(self, seconds: float = DEADLINE_S) -> dict[str, Any]:
        """The next txpk. Raises TimeoutError."""
        return await asyncio.wait_for(self.downlinks.get(), seconds)


class Portal:
    """The other end of the link: reads everything, receipts when told to."""

    def __init__(self, port: int) -> None:
        self.telegrams: list[messages.Telegram] = []
        self.events: list[messages.Event] = []
        self.states: list[messages.State] = []
        self.receipts: list[messages.Receipt] = []
        self.receipting = True
        settings = LinkSettings(
            "127.0.0.1", port, "portal", "portal", "p-secret", reconnect_min_s=0.05, reconnect_max_s=0.2
        )
        self.link = MqttLink(settings, [topics.subscription(branch) for branch in topics.UPWARD], self._take)
        self.task = asyncio.ensure_future(self.link.run())

    async def _take(self, topic: str, body: bytes) -> None:
        concentrator, branch = topics.parse(topic)
        assert concentrator == EUI
        if branch == topics.UP_TELEGRAM:
            batch = messages.decode_telegrams(body)
            self.telegrams += batch.telegrams
            await self._receipt(*(telegram.id for telegram in batch.telegrams))
        elif branch == topics.UP_EVENT:
            self.events.append(messages.decode_event(body))
            await self._receipt(self.events[-1].id)
        elif branch == topics.STATE:
            self.states.append(messages.decode_state(body))
        else:
            self.receipts.append(messages.decode_receipt(body))

    async def _receipt(self, *ids: str) -> None:
        if self.receipting:
            receipt = messages.Receipt(identifier(), NOW, tuple(messages.Result(one) for one in ids))
            with suppress(LinkDown):
                await self.send(topics.DN_RECEIPT, receipt)

    async def send(self, branch: str, message: messages.Message) -> None:
        await self.link.publish(topics.topic(EUI, branch), messages.encode(message))

    async def devices(self, *motes: Mote) -> None:
        await eventually(lambda: bool(self.states))
        public_key = bytes.fromhex(self.states[-1].public_key or "")
        command = messages.DevicesCommand(
            identifier(), NOW, self.states[-1].revision + 1, upsert=tuple(entry(mote, public_key) for mote in motes)
        )
        await self.send(topics.DN_COMMAND, command)
        await eventually(lambda: command.id in self.answered())

    def answered(self) -> dict[str, str | None]:
        return {result.id: result.code for receipt in self.receipts for result in receipt.results}

    async def close(self) -> None:
        self.link.stop()
        await asyncio.wait_for(self.task, DEADLINE_S)


NOW = "2026-01-01T00:00:00.000Z"


def identifier() -> str:
    return messages.ulid(1_767_225_600.0, random.randbytes(10))


def entry(mote: Mote, public_key: bytes) -> messages.DeviceEntry:
    wrapped = transport_key.wrap(
        public_key,
        mote.key,
        concentrator=GatewayEUI.parse(EUI),
        dev_eui=DevEUI.parse(mote.dev_eui),
        purpose="root",
        ephemeral_private=random.randbytes(32),
    )
    return messages.DeviceEntry(mote.dev_eui, JOIN_EUI, wrapped)


async def eventually(condition: Callable[[], bool], seconds: float = DEADLINE_S) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def join(gateway: Gateway, mote: Mote) -> None:
    mote.dev_nonce += 1
    await gateway.push(mote.join_request())
    mote.take_accept(base64.b64decode((await gateway.downlink())["data"]))
