"""The second cryptographic module put together: keys shared with adapters, agreement, opening, and the way out."""

import os
from collections.abc import Callable

from concentrator_agent.audit import Audit
from concentrator_agent.backhaul.target import MqttTarget
from concentrator_agent.config import Config
from concentrator_agent.events import Events
from concentrator_agent.keys.partner import KeyPartner
from concentrator_agent.keys.ring import KeyRing
from concentrator_agent.modes import Gate
from concentrator_agent.opening import Opening
from concentrator_agent.server.queue import DownlinkQueue
from edge.clock import Clock
from edge.database import Database
from edge.outbox import Limits, Outbox
from edge.sealedfile import Credential, SealedFile
from edge.ulids import Ulids

TARGET = "target"


class SecondModule:
    """`target` is None where opened values go nowhere; keys are agreed and used all the same."""

    def __init__(
        self,
        config: Config,
        *,
        credential: Credential,
        database: Database,
        queue: DownlinkQueue,
        outbox: Outbox,
        events: Events,
        audit: Audit,
        gate: Gate,
        clock: Clock,
        ulids: Ulids,
        dated: Callable[[], bool],
    ) -> None:
        """Raises SealedFileError or FormatError for a key file that cannot be used."""
        ring = KeyRing(SealedFile(config.concentrator.state_dir / "adapter.keys", credential, "adapter keys"))
        self.opening = Opening(ring, database.read, config.server.cached_devices)
        self.partner = KeyPartner(
            eui=config.eui,
            ring=ring,
            credential=credential,
            database=database,
            queue=queue,
            outbox=outbox,
            events=events,
            audit=audit,
            clock=clock,
            ulids=ulids,
            entropy=os.urandom,
            dated=dated,
        )
        self.outbox: Outbox | None = None
        self.target: MqttTarget | None = None
        if config.targets.mqtt is not None:
            limits = Limits(config.outbox.max_bytes, config.outbox.max_age_days * 86400)
            self.outbox = Outbox(database, limits, clock, TARGET)
            self.target = MqttTarget(config.targets.mqtt, config.eui, self.outbox, gate, clock)
            self.outbox.wake = self.target.wake

    async def look_after(self) -> None:
        """Now and then: what is due, what is over. Raises StorageError or SealedFileError."""
        await self.partner.turn()
        if self.outbox is not None:
            await self.outbox.expire()
