"""A concentrator as the bridge sees it: publishes, keeps what got no receipt, hears its commands."""

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

from edge.mqtt import LinkDown, LinkSettings, MqttLink
from meterwire import messages, topics
from meterwire.messages import DevicesCommand, DownlinkCommand, Message, Receipt, Result, State, Telegram, TelegramBatch

DEADLINE_S = 20.0
_numbers = itertools.count(1)


def new_id() -> str:
    return messages.ulid(time.time(), next(_numbers).to_bytes(10, "big"))


def now() -> str:
    return messages.timestamp(time.time())


def batch(*telegrams: Telegram) -> TelegramBatch:
    return TelegramBatch(new_id(), now(), telegrams)


def state(**fields: Any) -> State:
    values = {"id": new_id(), "time": now(), "online": True, "boot": new_id(), "version": "1.0.0", "revision": 0}
    return State(**{**values, **fields})


class Peer:
    """Use `async with`; `results` are the receipts' results by id; `commands` (tables) and `downlinks` came down."""

    def __init__(self, port: int, eui: str, password: str | None = None) -> None:
        self.eui = eui
        self.results: dict[str, Result] = {}
        self.commands: list[DevicesCommand] = []
        self.downlinks: list[DownlinkCommand] = []
        settings = LinkSettings(
            "127.0.0.1", port, eui, eui, password, keepalive_s=5, reconnect_min_s=0.05, reconnect_max_s=0.2
        )
        names = [topics.topic(eui, branch) for branch in topics.DOWNWARD]
        self.link = MqttLink(settings, names, self._on_message)

    async def __aenter__(self) -> "Peer":
        self._task = asyncio.ensure_future(self.link.run())
        await asyncio.wait_for(self.link.wait_connected(), DEADLINE_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.link.stop()
        await self._task

    async def send(self, branch: str, message: Message | bytes, retain: bool = False) -> None:
        body = message if isinstance(message, bytes) else messages.encode(message)
        await self.link.publish(topics.topic(self.eui, branch), body, retain)

    async def deliver(self, *telegrams: Telegram) -> None:
        """Send in batches, and again each second, until every one has its receipt, as a concentrator's outbox does."""
        until = time.monotonic() + DEADLINE_S * 2
        while rows := [telegram for telegram in telegrams if telegram.id not in self.results]:
            assert time.monotonic() < until, f"{len(rows)} telegrams never got a receipt"
            try:
                for first in range(0, len(rows), 60):
                    await self.send(topics.UP_TELEGRAM, batch(*rows[first : first + 60]))
                await self.expect(lambda: all(telegram.id in self.results for telegram in telegrams), 1.0)
            except (LinkDown, TimeoutError):
                await asyncio.sleep(0.05)

    async def expect(self, what: Callable[[], Any], seconds: float = DEADLINE_S) -> None:
        """Wait until `what` is true. TimeoutError."""
        async with asyncio.timeout(seconds):
            while not what():
                await asyncio.sleep(0.02)

    async def _on_message(self, topic: str, body: bytes) -> None:
        if topic.endswith(topics.DN_RECEIPT):
            receipt: Receipt = messages.decode_receipt(body)
            self.results.update((result.id, result) for result in receipt.results)
            return
        command = messages.decode_command(body)
        if isinstance(command, DevicesCommand):
            self.commands.append(command)
        elif isinstance(command, DownlinkCommand):
            self.downlinks.append(command)
