"""Downlinks that wait for their device's next window: bounded, in order, each with its end."""

import math
import sqlite3
from typing import Final

import msgspec

from concentrator_agent import store
from concentrator_agent.audit import Audit, Note
from concentrator_agent.events import Events
from edge.clock import Clock
from edge.database import Database
from edge.outbox import Entry, Outbox
from meterwire.config_records import PORT as CONFIGURATION_PORT
from meterwire.errors import FormatError
from meterwire.messages import DownlinkCommand, Result, parse_timestamp

MAX_PER_DEVICE: Final = 50
MAX_TOTAL: Final = 10_000
MAX_UNACKNOWLEDGED: Final = 3  # transmissions of a confirmed downlink
URGENT_PRIORITY: Final = 9  # as commands that limit or switch have, and nothing else
KEY_EXCHANGE_PORT: Final = 34
REPEATED_FOR_S: Final = 3600.0  # after its end a command comes again at most for so long
FORGET_EVERY_S: Final = 60.0
_CONFIGURATION: Final = frozenset({CONFIGURATION_PORT, KEY_EXCHANGE_PORT})


class Item(msgspec.Struct, eq=False):
    """One downlink. `failure` names why the last attempt came to nothing."""

    row: store.DownlinkRow
    attempts: int
    failure: str | None = None
    in_the_air: bool = False

    @property
    def order(self) -> tuple[int, int, str]:
        """Configuration before application, then higher priority, then older."""
        return (0 if self.is_configuration else 1, -self.row.priority, self.row.id)

    @property
    def is_configuration(self) -> bool:
        return self.row.fport in _CONFIGURATION


class DownlinkQueue:
    """In memory for each uplink's quick look, in the store for a restart."""

    def __init__(self, database: Database, outbox: Outbox, events: Events, clock: Clock, audit: Audit) -> None:
        self._database = database
        self._outbox = outbox
        self._events = events
        self._clock = clock
        self._audit = audit
        self._refused_last = ""
        self._items: dict[str, list[Item]] = {}
        self._awaiting: dict[str, Item] = {}
        self._total = 0
        self._forget_at = -math.inf  # monotonic
        for row in store.downlinks(database.read):
            if not row.done:
                self._insert(Item(row, row.attempts))

    def __len__(self) -> int:
        return self._total

    async def take(self, command: DownlinkCommand, known: bool) -> Result:
        """Queue a command durably; the result goes back as its receipt. Raises StorageError."""
        try:
            expires_at = parse_timestamp(command.expires_at).timestamp()
        except FormatError as error:  # a day that does not exist
            return await self._refuse(command, "format", str(error))
        if not known:
            return await self._refuse(
                command, "unknown_device", f"{command.dev_eui.upper()} is not in the device table"
            )
        if expires_at <= self._clock.time():
            return await self._refuse(command, "expired", f"the command expired at {command.expires_at}")
        if self._total >= MAX_TOTAL or len(self._items.get(command.dev_eui, ())) >= MAX_PER_DEVICE:
            return await self._refuse(
                command, "queue_full", "too many downlinks wait already; let some of them expire or arrive"
            )
        row = store.DownlinkRow(
            command.id,
            command.dev_eui,
            command.fport,
            command.payload,
            int(command.confirmed),
            command.priority,
            expires_at,
            0,
            0,
        )
        if await self._database.run(lambda connection: self._put(connection, row)):
            self._insert(Item(row, 0))
        return Result(command.id)

    def waiting(self, dev_eui: str) -> bool:
        """Whether something may be sent to the device now."""
        items = self._items.get(dev_eui)
        if not items:
            return False
        now = self._clock.time()
        return any(item.row.expires_at > now and not item.in_the_air for item in items)

    def next(
        self, dev_eui: str, room: int, least_priority: int = 0, failure: str = "too_long"
    ) -> tuple[Item | None, bool]:
        """(the first item that fits into `room` octets, whether more wait behind it).

        `failure` is what keeps those back that do not fit.
        """
        items = self._sendable(dev_eui)
        for item in items:
            if item.row.priority < least_priority:
                continue
            if len(item.row.payload) <= room:
                return item, len(items) > 1
            item.failure = failure
        return None, bool(items)

    def urgent(self, dev_eui: str) -> bool:
        """Whether something waits for the device that is worth a lost telegram of somebody else."""
        return any(item.row.priority >= URGENT_PRIORITY for item in self._sendable(dev_eui))

    def take_awaiting(self, dev_eui: str) -> Item | None:
        """The confirmed downlink that the device's next uplink must acknowledge, if there is one; given once."""
        return self._awaiting.pop(dev_eui, None)

    async def sent(self, item: Item, *, disturbs: bool = False) -> None:
        """The gateway has accepted it. Unconfirmed ones are done with that. `disturbs`: it reaches into slots."""
        item.attempts += 1
        item.failure = None
        cause = "slots_disturbed" if disturbs else None
        if not item.row.confirmed:
            await self._finish(item, "sent", cause)
            return
        self._awaiting[item.row.dev_eui] = item
        first = self._event(item, "sent", cause) if item.attempts == 1 else None
        await self._store(item, done=False, entry=first)

    async def acknowledged(self, item: Item) -> None:
        await self._finish(item, "acknowledged")

    async def unacknowledged(self, item: Item) -> None:
        """The device's next uplink did not acknowledge it: once more, or give up."""
        if item.attempts >= MAX_UNACKNOWLEDGED:
            await self._finish(item, "refused", cause="unacknowledged")

    async def expire(self) -> None:
        """End what is over its time, with the last failure as the reason; forget commands that nobody repeats now."""
        now = self._clock.time()
        for item in [item for items in self._items.values() for item in items if item.row.expires_at <= now]:
            if item.in_the_air:
                continue
            reason = item.failure if item.failure in ("duty_cycle", "too_late") else "expired"
            await self._finish(item, reason, cause=item.failure)
        if self._clock.monotonic() >= self._forget_at:
            await self._database.run(lambda connection: store.forget_downlinks(connection, now - REPEATED_FOR_S))
            self._forget_at = self._clock.monotonic() + FORGET_EVERY_S

    async def drop_device(self, dev_eui: str) -> None:
        """The device has left the table."""
        for item in list(self._items.get(dev_eui, ())):
            await self._finish(item, "refused", cause="device_removed")

    def devices(self) -> list[str]:
        return list(self._items)

    def _sendable(self, dev_eui: str) -> list[Item]:
        now = self._clock.time()
        return [item for item in self._items.get(dev_eui, ()) if item.row.expires_at > now and not item.in_the_air]

    def _put(self, connection: sqlite3.Connection, row: store.DownlinkRow) -> bool:
        new = store.put_downlink(connection, row)
        if new:
            taken = f"port {row.fport}, {len(row.payload)} bytes"
            self._audit.note(connection, [Note("downlink.take", "ok", row.dev_eui, None, row.id, taken)])
        return new

    async def _refuse(self, command: DownlinkCommand, code: str, sentence: str) -> Result:
        # Without a receipt the same command comes again and again; one row tells it.
        if command.id != self._refused_last:
            note = Note("downlink.refuse", code, command.dev_eui, None, command.id, f"port {command.fport}")
            await self._database.run(lambda connection: self._audit.note(connection, [note]))
            self._refused_last = command.id
        return Result(command.id, code, sentence)

    async def _finish(self, item: Item, reason: str, cause: str | None = None) -> None:
        await self._store(item, done=True, entry=self._event(item, reason, cause))
        if self._awaiting.get(item.row.dev_eui) is item:
            del self._awaiting[item.row.dev_eui]
        items = self._items.get(item.row.dev_eui, [])
        if item in items:
            items.remove(item)
            self._total -= 1
            if not items:
                del self._items[item.row.dev_eui]

    async def _store(self, item: Item, *, done: bool, entry: Entry | None) -> None:
        def job(connection: sqlite3.Connection) -> None:
            store.set_downlink(connection, item.row.id, attempts=item.attempts, done=done)
            if entry is not None:
                self._outbox.insert(connection, [entry])

        await self._database.run(job)
        self._outbox.wake()

    def _event(self, item: Item, reason: str, cause: str | None = None) -> Entry:
        return self._events.make(
            "downlink", item.row.dev_eui, reason, command=item.row.id, attempts=item.attempts, cause=cause
        )

    def _insert(self, item: Item) -> None:
        items = self._items.setdefault(item.row.dev_eui, [])
        items.append(item)
        items.sort(key=lambda one: one.order)
        self._total += 1
