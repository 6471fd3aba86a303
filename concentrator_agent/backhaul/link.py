"""Keeps the MQTT link to the portal up while the gate has its interface open."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from concentrator_agent.backhaul.outbox_pump import OutboxPump
from concentrator_agent.backhaul.presence import Presence
from concentrator_agent.config import Config, Mqtt
from concentrator_agent.enrolment.identity import Identity
from concentrator_agent.modes import Gate, Interface
from edge.clock import Clock
from edge.mqtt import LinkDown, LinkSettings, MqttLink, Will
from edge.sealedfile import read_owner_only
from meterwire import topics

log = logging.getLogger(__name__)
MAX_PASSWORD_BYTES = 1024
MAX_INFLIGHT = 20


class Backhaul:
    """The third communication interface. `on_message` gets what the portal sends.

    With `identity` it shows that certificate, and waits until there is one.
    """

    def __init__(
        self,
        config: Config,
        mqtt: Mqtt,
        gate: Gate,
        clock: Clock,
        *,
        on_message: Callable[[str, bytes], Awaitable[None]],
        identity: Identity | None = None,
    ) -> None:
        self._eui = config.eui
        self._mqtt = mqtt
        self._gate = gate
        self.interface = Interface(config.concentrator.interface)
        self._clock = clock
        self._on_message = on_message
        self._identity = identity
        self._link: MqttLink | None = None
        self._door = gate.door(self.interface, self._publish_now)
        self._password = read_password(mqtt.password_file)
        self.pump: OutboxPump | None = None
        self.presence: Presence | None = None

    @property
    def connected(self) -> bool:
        return self._link is not None and self._link.connected

    async def publish(self, branch: str, body: bytes) -> None:
        """Raises LinkDown, or InterfaceClosed while the mode keeps the interface shut."""
        await self._door(branch, body, False)

    async def announce(self, online: bool = True) -> None:
        """The retained state, now. Silent when there is no connection."""
        if self.presence is None or not self.connected:
            return
        try:
            await self._door(topics.STATE, self.presence.state(online), True)
        except LinkDown:
            pass

    async def run(self) -> None:
        """Until cancelled: connected whenever the interface is open. Raises LinkRefused."""
        if self._identity is not None:
            await self._identity.wait()
        while True:
            await self._gate.until(self.interface, True)
            await self._connected_until_closed()

    def reconnect(self) -> None:
        """Connect anew, as with a new certificate."""
        if self._link is not None:
            self._link.reconnect()

    async def heartbeat(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(self._mqtt.heartbeat_s)
            if self._gate.is_open(self.interface):
                await self.announce()

    async def _connected_until_closed(self) -> None:
        link = self._link = MqttLink(
            self._settings(),
            [topics.topic(self._eui, branch) for branch in topics.DOWNWARD],
            self._on_message,
            self._greet,
            clock=self._clock,
        )
        running = asyncio.ensure_future(link.run())
        closing = asyncio.ensure_future(self._gate.until(self.interface, False))
        try:
            await asyncio.wait((running, closing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.cancel()
            link.stop()
            await asyncio.shield(running)
            self._link = None
            if self.pump is not None:
                self.pump.disconnected()

    async def _greet(self) -> None:
        await self.announce()
        if self.pump is not None:
            self.pump.connected()
        if self._identity is not None and self._identity.worked():  # last: it writes a file, which may fail
            log.info("the broker took the new certificate")

    async def _publish_now(self, branch: str, body: bytes, retain: bool) -> None:
        if self._link is None:
            raise LinkDown("not connected to the broker; it will be tried again")
        await self._link.publish(topics.topic(self._eui, branch), body, retain=retain)

    def _settings(self) -> LinkSettings:
        mqtt = self._mqtt
        return LinkSettings(
            host=mqtt.host,
            port=mqtt.port,
            client_id=self._eui,
            username=mqtt.username or self._eui,
            password=self._password,
            tls=self._identity or mqtt.tls_settings,
            keepalive_s=mqtt.keepalive_s,
            reconnect_max_s=mqtt.reconnect_max_s,
            max_inflight=MAX_INFLIGHT,
            will=self._will,
        )

    def _will(self) -> Will:
        assert self.presence is not None
        return Will(topics.topic(self._eui, topics.STATE), self.presence.state(online=False))


def read_password(file: Path | None) -> str | None:
    """The first line of an owner-only file. Raises SealedFileError."""
    if file is None:
        return None
    return read_owner_only(file, MAX_PASSWORD_BYTES).decode(errors="replace").strip()
