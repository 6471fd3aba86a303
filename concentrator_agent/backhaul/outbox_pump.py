"""Empties the outbox towards the portal: batches of telegrams, single events, each kept until its receipt.

A broker's PUBACK proves nothing about the portal, so an entry leaves the outbox only on `dn/receipt` (design 5.5).
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

import msgspec

from concentrator_agent import distribution
from concentrator_agent.modes import InterfaceClosed
from edge.clock import Clock
from edge.mqtt import LinkDown
from edge.outbox import Outbox, Stored
from edge.ulids import Ulids
from meterwire import messages, topics

log = logging.getLogger(__name__)

RESEND_JITTER: Final = 0.25
RETRY_AFTER_S: Final = 1.0  # when the link did not take a message though it was up a moment ago
IDLE_S: Final = 5.0  # a look around even when nothing happens; the watchdog counts on it

Publish = Callable[[str, bytes], Awaitable[None]]


class _Flight:
    """A message that is out and not yet receipted as a whole. `due` is when it is sent again (monotonic s)."""

    __slots__ = ("due", "entries", "sending", "times")

    def __init__(self, entries: Sequence[Stored]) -> None:
        self.entries = {entry.id: entry for entry in entries}
        self.due = 0.0
        self.times = 0
        self.sending = False


class OutboxPump:
    """`publish(branch, body)` is the way out; it raises LinkDown or InterfaceClosed."""

    def __init__(
        self,
        outbox: Outbox,
        publish: Publish,
        clock: Clock,
        ulids: Ulids,
        *,
        max_unreceipted: int = 20,
        resend_s: float = 30.0,
        rng: random.Random | None = None,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._outbox = outbox
        self._publish = publish
        self._clock = clock
        self._ulids = ulids
        self._max_unreceipted = max_unreceipted
        self._resend_s = resend_s
        self._rng = rng or random.Random()  # noqa: S311 (spreads repetitions, protects nothing)
        self._progress = progress
        self._flights: list[_Flight] = []
        self._by_id: dict[str, _Flight] = {}
        self._taken = 0  # everything up to this seq is in a flight or gone
        self._head_since: float | None = None
        self._connected = False
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.published = 0  # messages, repetitions included
        self.repeated = 0
        self.refused = 0  # entries that the portal refused for good

    @property
    def unreceipted(self) -> int:
        """Messages that wait for their receipt."""
        return len(self._flights)

    def wake(self) -> None:
        """Something new is in the outbox."""
        self._wake.set()

    def connected(self) -> None:
        """The link is (again) up: what was out may be lost, so it is sent again at once."""
        self._connected = True
        for flight in self._flights:
            flight.due = 0.0
        self._wake.set()

    def disconnected(self) -> None:
        self._connected = False

    async def receive(self, receipt: messages.Receipt) -> None:
        """The portal has committed these entries, or refused them for good. Raises StorageError; then nothing left."""
        seqs, done = [], []
        for result in receipt.results:
            flight = self._by_id.get(result.id)
            if flight is None:
                continue  # a repetition, or of a time before the last restart: it will be receipted again
            seqs.append(flight.entries[result.id].seq)
            done.append(result)
        if not seqs:
            return
        await self._outbox.remove(seqs)
        for result in done:
            flight = self._by_id.pop(result.id, None)
            if flight is None:
                continue
            del flight.entries[result.id]
            if not flight.entries:
                self._flights.remove(flight)
            if result.code is not None:
                self.refused += 1
                log.warning(
                    "the portal refused an entry", extra={"id": result.id, "code": result.code, "why": result.message}
                )
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._progress()
                self._wake.clear()
                wait = self._turn() if self._connected else IDLE_S
                await self._sleep(wait)
        finally:
            for task in self._tasks:
                task.cancel()

    def _turn(self) -> float:
        """Send what is due; the seconds until the next look."""
        now = self._clock.monotonic()
        wait = IDLE_S
        for flight in self._flights:
            if flight.sending:
                continue
            if flight.due <= now:
                self._send(flight)
            else:
                wait = min(wait, flight.due - now)
        while len(self._flights) < self._max_unreceipted:
            group, ready_in = self._next_group(now)
            if not group:
                return min(wait, ready_in)
            flight = _Flight(group)
            self._flights.append(flight)
            self._by_id.update(dict.fromkeys(flight.entries, flight))
            self._send(flight)
        return wait

    def _next_group(self, now: float) -> tuple[list[Stored], float]:
        """(what goes into the next message, or nothing and the seconds until a partial batch is flushed)."""
        head = self._outbox.after(self._taken, messages.BATCH_TELEGRAMS)
        if not head:
            self._head_since = None
            return [], IDLE_S
        size = 0
        while size < len(head) and head[size].kind == distribution.KIND:
            size += 1
        if size == 0:
            size = 1
        elif size == len(head) < messages.BATCH_TELEGRAMS:
            if self._head_since is None:
                self._head_since = now
            ready_in = self._head_since + messages.BATCH_FLUSH_SECONDS - now
            if ready_in > 0:
                return [], ready_in
        self._head_since = None
        group = head[:size]
        self._taken = group[-1].seq
        return group, 0.0

    def _send(self, flight: _Flight) -> None:
        flight.sending = True
        task = asyncio.ensure_future(self._send_now(flight))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_now(self, flight: _Flight) -> None:
        entries = list(flight.entries.values())
        delay = RETRY_AFTER_S
        try:
            if entries:
                await self._publish(*self._message(entries))
                self.published += 1
                self.repeated += flight.times > 0
                flight.times += 1
                delay = self._resend_s * self._rng.uniform(1 - RESEND_JITTER, 1 + RESEND_JITTER)
        except (LinkDown, InterfaceClosed) as error:
            log.debug("not sent", extra={"code": error.code})
        finally:
            flight.due = self._clock.monotonic() + delay
            flight.sending = False
            self._wake.set()

    def _message(self, entries: list[Stored]) -> tuple[str, bytes]:
        if entries[0].kind != distribution.KIND:
            return topics.UP_EVENT, entries[0].body
        batch = messages.TelegramBatch(
            id=self._ulids(),
            time=messages.timestamp(self._clock.time()),
            telegrams=cast("tuple[messages.Telegram, ...]", tuple(_raw(entry.body) for entry in entries)),
        )
        return topics.UP_TELEGRAM, messages.encode(batch)

    async def _sleep(self, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleeping, waking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()


def _raw(body: bytes) -> Any:
    """The telegram as it was encoded when it was stored; it goes into the batch unread."""
    return msgspec.Raw(body)
