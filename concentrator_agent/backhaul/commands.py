"""What the portal sends: the device table, downlinks, receipts; each command is answered on `up/receipt`."""

import logging
from collections.abc import Awaitable, Callable

from concentrator_agent.backhaul.outbox_pump import OutboxPump
from concentrator_agent.devices import DeviceTable
from concentrator_agent.events import Events
from concentrator_agent.keys.partner import KeyPartner
from concentrator_agent.modes import InterfaceClosed
from concentrator_agent.rootkeys import KeyServiceFailed
from concentrator_agent.server.heard import Heard
from concentrator_agent.server.queue import DownlinkQueue
from concentrator_agent.server.sessions import Sessions
from concentrator_agent.store import device
from edge.clock import Clock
from edge.database import Database, StorageError
from edge.mqtt import LinkDown
from edge.outbox import Outbox
from edge.sealedfile import SealedFileError
from edge.ulids import Ulids
from meterwire import messages, topics
from meterwire.errors import FormatError

log = logging.getLogger(__name__)


class Commands:
    """Handles one message after the other. Without a receipt the portal sends a command again."""

    def __init__(
        self,
        *,
        eui: str,
        table: DeviceTable,
        queue: DownlinkQueue,
        partner: KeyPartner,
        sessions: Sessions,
        pump: OutboxPump,
        outbox: Outbox,
        events: Events,
        heard: Heard,
        database: Database,
        publish: Callable[[str, bytes], Awaitable[None]],
        on_change: Callable[[], Awaitable[None]],
        clock: Clock,
        ulids: Ulids,
    ) -> None:
        self._eui = eui
        self._table = table
        self._queue = queue
        self._partner = partner
        self._sessions = sessions
        self._pump = pump
        self._outbox = outbox
        self._events = events
        self._heard = heard
        self._database = database
        self._publish = publish
        self._on_change = on_change
        self._clock = clock
        self._ulids = ulids

    async def take(self, topic: str, body: bytes) -> None:
        """Raises FormatError for what cannot be read."""
        concentrator, branch = topics.parse(topic)
        if concentrator != self._eui:
            # The broker's ACL keeps other branches away; a broker without one must not make us obey them.
            log.warning("a message on another concentrator's branch is ignored", extra={"topic": topic})
            return
        try:
            if branch == topics.DN_RECEIPT:
                await self._pump.receive(messages.decode_receipt(body))
            elif branch == topics.DN_COMMAND:
                await self._decoded(body)
        except (StorageError, SealedFileError, KeyServiceFailed) as error:
            log.error("a message of the portal could not be taken; it will come again", extra={"error": str(error)})

    async def _decoded(self, body: bytes) -> None:
        try:
            command = messages.decode_command(body)
        except FormatError:
            unknown = messages.unknown_command(body) if len(body) <= messages.MAX_MESSAGE_BYTES else None
            if unknown is None:
                raise
            sentence = "this release does not know such a command: update the concentrator"
            await self._receipt((messages.Result(unknown, "unknown_command", sentence),))
        else:
            await self._command(command)

    async def _command(self, command: messages.Command) -> None:
        if isinstance(command, messages.DevicesCommand):
            await self._devices(command)
        elif isinstance(command, messages.RekeyCommand):
            await self._receipt((await self._partner.order(command),))
        else:
            known = device(self._database.read, command.dev_eui) is not None
            await self._receipt((await self._queue.take(command, known),))

    async def _devices(self, command: messages.DevicesCommand) -> None:
        applied = await self._table.take(command)
        if applied.changed:
            self._sessions.clear()
            self._heard.forget(lambda dev_eui: device(self._database.read, dev_eui) is not None)
            for dev_eui in self._queue.devices():
                if device(self._database.read, dev_eui) is None:
                    await self._queue.drop_device(dev_eui)
            log.info("device table", extra={"revision": self._table.revision, "devices": self._table.count})
        if applied.refused:
            await self._outbox.put(
                [
                    self._events.make("device_refused", outcome.row.dev_eui, outcome.reason, message=outcome.message)
                    for outcome in applied.refused
                ]
            )
        for start in range(0, len(applied.results), messages.MAX_RESULTS):
            await self._receipt(applied.results[start : start + messages.MAX_RESULTS])
        if applied.changed:
            await self._on_change()

    async def _receipt(self, results: tuple[messages.Result, ...]) -> None:
        receipt = messages.Receipt(self._ulids(), messages.timestamp(self._clock.time()), results)
        try:
            await self._publish(topics.UP_RECEIPT, messages.encode(receipt))
        except (LinkDown, InterfaceClosed):
            log.info("a receipt could not be sent; the command will come again")
