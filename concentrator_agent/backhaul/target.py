"""Opened values go to another system's broker, one message per telegram, each kept until that broker has taken it.

Whoever runs that broker gives no receipts of its own, so its PUBACK ends our part; a message may come twice.
"""

import asyncio
import logging
from typing import Final

import msgspec

from concentrator_agent.backhaul.link import read_password
from concentrator_agent.config import TargetMqtt
from concentrator_agent.modes import Gate, Interface, InterfaceClosed
from edge.clock import Clock
from edge.database import StorageError
from edge.mqtt import LinkDown, LinkSettings, MqttLink
from edge.outbox import Outbox, Stored

log = logging.getLogger(__name__)

AT_ONCE: Final = 20
IDLE_S: Final = 5.0
RETRY_S: Final = 1.0
DEV_EUI: Final = "{dev_eui}"


class _Named(msgspec.Struct):
    dev_eui: str


class MqttTarget:
    """A stand-alone server where there is no SMGw. `run` sends while the gate has its interface open."""

    def __init__(self, settings: TargetMqtt, eui: str, outbox: Outbox, gate: Gate, clock: Clock) -> None:
        """Raises SealedFileError for a password file that others can read."""
        self._settings = settings
        self._eui = eui
        self._outbox = outbox
        self._gate = gate
        self._interface = Interface(settings.interface)
        self._clock = clock
        self._wake = asyncio.Event()
        self._link: MqttLink | None = None
        self._door = gate.door(self._interface, self._publish)
        self._password = read_password(settings.password_file)
        self._topic = msgspec.json.Decoder(_Named)
        self.published = 0
        self._held_up = False

    def wake(self) -> None:
        """Something new is in the outbox."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled. Raises LinkRefused when TLS cannot be set up."""
        while True:
            await self._gate.until(self._interface, True)
            await self._connected_until_closed()

    async def _connected_until_closed(self) -> None:
        link = self._link = MqttLink(self._link_settings(), on_connect=self._connected, clock=self._clock)
        parts = [
            asyncio.ensure_future(part)
            for part in (link.run(), self._empty(), self._gate.until(self._interface, False))
        ]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            link.stop()
            for part in parts[1:]:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            self._link = None

    async def _connected(self) -> None:
        self.wake()

    async def _empty(self) -> None:
        while True:
            self._wake.clear()
            if not await self._send_some():
                await self._pause(IDLE_S)

    async def _send_some(self) -> bool:
        """False when there is nothing to send now."""
        entries = self._outbox.after(0, AT_ONCE)
        try:
            for entry in entries:
                await self._door(entry)
                await self._outbox.remove([entry.seq])
                self.published += 1
                self._held_up = False
        except (LinkDown, InterfaceClosed, StorageError) as error:
            # Once per outage: a broker that refuses the topic looks just like one that is away.
            level = logging.DEBUG if self._held_up else logging.WARNING
            log.log(level, "opened values wait: %s", error, extra={"code": error.code})
            self._held_up = True
            await self._pause(RETRY_S)
        return bool(entries)

    async def _publish(self, entry: Stored) -> None:
        if self._link is None:
            raise LinkDown("not connected to the broker; it will be tried again")
        topic = self._settings.topic.replace(DEV_EUI, self._topic.decode(entry.body).dev_eui)
        await self._link.publish(topic, entry.body)

    async def _pause(self, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleeping, waking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()

    def _link_settings(self) -> LinkSettings:
        settings = self._settings
        return LinkSettings(
            host=settings.host,
            port=settings.port,
            client_id=settings.client_id or f"meterspan-{self._eui}",
            username=settings.username,
            password=self._password,
            tls=settings.tls_settings,
            keepalive_s=settings.keepalive_s,
            reconnect_max_s=settings.reconnect_max_s,
        )
