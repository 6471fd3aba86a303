"""Virtual time: an event loop that never waits, and a broker inside the process, for whole walks in seconds.

`time.time`, `time.monotonic`, and what Django calls now follow the loop of tests.support.virtual_loop, so that the real
bridge, concentrator and adapters run unchanged.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import time_machine

from concentrator_agent.backhaul import link as backhaul
from edge.mqtt import LinkDown, LinkSettings, OnConnect, OnMessage
from portal.bridge import app as bridge
from tests.support.virtual_loop import VirtualLoop, end, patient_databases

TRANSIT_S = 0.02  # of a message through the broker, in virtual time


class TravellingLoop(VirtualLoop):
    """The time of the whole process goes with it."""

    traveller: Any = None

    def jump(self, seconds: float) -> None:
        super().jump(seconds)
        if self.traveller is not None:
            self.traveller.shift(seconds)


class LoopClock:
    """edge.clock.Clock of the running virtual loop."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class Broker:
    """What Mosquitto does for one concentrator and one bridge: exact topics and `+`, retained states, in order."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.retained: dict[str, bytes] = {}

    def publish(self, topic: str, payload: bytes, retain: bool) -> None:
        if retain:
            self.retained[topic] = payload
        for link in self.links:
            if link.wants(topic):
                link.inbox.put_nowait((topic, payload))


class Link:
    """Stands in for edge.mqtt.MqttLink, without a socket. It is never down."""

    broker: Broker

    def __init__(
        self,
        settings: LinkSettings,
        subscriptions: Sequence[str] = (),
        on_message: OnMessage | None = None,
        on_connect: OnConnect | None = None,
        **_: Any,
    ) -> None:
        self.settings, self._on_message, self._on_connect = settings, on_message, on_connect
        self._subscriptions = [subscription.split("/") for subscription in subscriptions]
        self.inbox: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.connections, self.connected = 0, False
        self._stop = asyncio.Event()

    def wants(self, topic: str) -> bool:
        parts = topic.split("/")
        return any(
            len(parts) == len(wanted) and all(w in ("+", part) for w, part in zip(wanted, parts, strict=True))
            for wanted in self._subscriptions
        )

    async def run(self) -> None:
        self.broker.links.append(self)
        self.connections, self.connected = self.connections + 1, True
        for topic, payload in self.broker.retained.items():
            if self.wants(topic):
                self.inbox.put_nowait((topic, payload))
        receiving = asyncio.ensure_future(self._receive())
        if self._on_connect is not None:
            await self._on_connect()
        await self._stop.wait()
        receiving.cancel()
        self.broker.links.remove(self)
        self.connected = False

    async def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        if not self.connected:
            raise LinkDown("not connected")
        await asyncio.sleep(TRANSIT_S)
        self.broker.publish(topic, payload, retain)

    def stop(self) -> None:
        self._stop.set()

    async def _receive(self) -> None:
        while True:
            topic, payload = await self.inbox.get()
            if self._on_message is not None:
                await self._on_message(topic, payload)


@contextmanager
def virtual_time(start: datetime | None = None) -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Yields what runs a coroutine in virtual time, with bridge and concentrator on a broker in this process."""
    begin = start or datetime.now(UTC)
    loop = TravellingLoop()
    monotonic = time.monotonic

    links = backhaul.MqttLink, bridge.MqttLink
    Link.broker = Broker()
    with time_machine.travel(begin, tick=False) as traveller, patient_databases(loop):
        loop.traveller = traveller
        time.monotonic = loop.time
        backhaul.MqttLink = bridge.MqttLink = Link  # type: ignore[misc, assignment]
        try:
            asyncio.set_event_loop(loop)
            yield loop.run_until_complete
        finally:
            end(loop)
            time.monotonic = monotonic
            backhaul.MqttLink, bridge.MqttLink = links  # type: ignore[misc]
