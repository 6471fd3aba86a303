"""The bridge: the one process of the portal that talks MQTT. Mail in, batches to the database, receipts out.

The event loop owns the link and the queues; one thread owns the pipeline's database connection, another one serves
device tables and the heartbeat. Everything waits in bounded queues: when the database is slow or away the link is no
longer read, the broker's queue drops, and the concentrators send again what got no receipt.
"""

import asyncio
import gc
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from django.db import connection, connections

from edge.mqtt import LinkDown, LinkSettings, MqttLink, take_over
from meterwire import messages, topics
from meterwire.errors import FormatError
from meterwire.messages import MAX_RESULTS, Receipt, Result
from portal.bridge import mail as post
from portal.bridge.commands import Commands, topic_of
from portal.bridge.configuration import Configurations
from portal.bridge.days import Days
from portal.bridge.doorkeeper import Doorkeeper
from portal.bridge.heartbeat import Heartbeat
from portal.bridge.ingest import GONE, Ingest, Outcome
from portal.bridge.key_port import KeyPort
from portal.bridge.keys import Keys
from portal.bridge.mail import Mail
from portal.bridge.pages import Pages
from portal.bridge.partner_keys import PartnerKeys
from portal.bridge.renewals import Renewals
from portal.bridge.slots import Slots
from portal.bridge.steps import News, Steps
from portal.telemetry.directory import Directory
from portal.telemetry.pipeline import Pipeline
from portal.telemetry.store import open_store
from provisioning.keys.vault import Vault

log = logging.getLogger(__name__)
T = TypeVar("T")

BATCH_TELEGRAMS = 4_000
BATCH_S = 0.2  # the first telegram of a batch waits at most this long for company
MAX_MAILS = 400  # waiting for the database
MAX_OUTCOMES = 20  # waiting for the broker
COMMAND_S = 1.0
PAIR_S = 0.5
KEYS_S = 0.5
RETRY_MIN_S, RETRY_MAX_S = 0.2, 10.0
MAX_SURPRISES = 5  # attempts at a batch that fails in a way nobody foresaw; then it is dropped without receipts
RETAINED_S = 5.0  # so long after connecting a state may be one that the broker kept
DRAIN_S = 5.0
CANCEL_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """`name` tells several bridges apart; with `group` they share the telegrams (MQTT shared subscription)."""

    name: str
    link: LinkSettings
    redis_url: str
    group: str = ""

    @property
    def subscriptions(self) -> tuple[str, ...]:
        shared = f"$share/{self.group}/" if self.group else ""
        work = [shared + topics.subscription(branch) for branch in (topics.UP_TELEGRAM, topics.UP_EVENT)]
        return (*work, *(topics.subscription(branch) for branch in (topics.UP_RECEIPT, topics.STATE)))


class Bridge:
    """One run of the bridge. `run` returns after `stop`."""

    def __init__(self, settings: BridgeSettings, vault: Callable[[], Vault] = Vault.from_settings) -> None:
        self._settings = settings
        self._link = MqttLink(settings.link, settings.subscriptions, self._on_message)
        self._pages = Pages(settings.redis_url)
        self._ingest = Ingest(Pipeline(Directory(vault()), open_store()))
        self._commands = Commands(vault(), time.time, time.monotonic)
        self._configurations = Configurations(time.time, time.monotonic)
        self._key_port = KeyPort([Keys(vault()), PartnerKeys(), Days(vault())])
        self._steps, self._news = Steps(time.time), News()
        self._slots, self._renewals = Slots(time.monotonic), Renewals(time.monotonic)
        self._heartbeat = Heartbeat(settings.name, vault())
        self._doorkeeper = Doorkeeper(vault())
        self._inbox: asyncio.Queue[Mail | None] = asyncio.Queue(MAX_MAILS)
        self._outcomes: asyncio.Queue[Outcome] = asyncio.Queue(MAX_OUTCOMES)
        self._database = ThreadPoolExecutor(1, "pipeline")
        self._side = ThreadPoolExecutor(1, "side")
        self._stopping = asyncio.Event()
        self._connections, self._connected_at = 0, 0.0
        self.figures: Counter[str] = Counter()

    @property
    def connected(self) -> bool:
        return self._link.connected

    def stop(self) -> None:
        """Finish the batch under way, send its receipts, then let `run` return."""
        self._stopping.set()
        if not self._inbox.full():
            self._inbox.put_nowait(None)

    async def run(self) -> None:
        """Until `stop`; raises when one of its parts fails for good."""
        spare_the_collector()
        collecting = asyncio.ensure_future(self._collect())
        serving = [
            asyncio.ensure_future(part)
            for part in (
                self._link.run(),
                self._send(),
                self._pages.run(),
                self._command(),
                self._pair(),
                self._exchange_keys(),
                self._beat(),
                self._keep_the_door(),
            )
        ]
        try:
            await asyncio.wait((collecting, *serving), return_when=asyncio.FIRST_COMPLETED)
            self._stopping.set()
            if collecting.done():
                collecting.result()
                with suppress(TimeoutError):  # what is not told now is asked for again
                    await asyncio.wait_for(self._outcomes.join(), DRAIN_S)
            for part in serving:
                if part.done():
                    part.result()
        finally:
            self._link.stop()
            await asyncio.wait(serving[:1], timeout=DRAIN_S)
            await _end((collecting, *serving))
            for thread in (self._database, self._side):
                await asyncio.wrap_future(thread.submit(connections.close_all))
                thread.shutdown()

    async def _on_message(self, topic: str, body: bytes) -> None:
        """Waits while the inbox is full, and the link with it."""
        try:
            mail = post.read(topic, body)
        except FormatError:
            self.figures["refused_foreign_topic"] += 1
            return
        if self._link.connections != self._connections:
            self._connections, self._connected_at = self._link.connections, time.monotonic()
        mail.kept = time.monotonic() - self._connected_at < RETAINED_S
        if mail.receipt is not None:
            self._commands.receipt(mail.eui, mail.receipt)
            self._configurations.receipt(mail.eui, mail.receipt)
            self._key_port.receipt(mail.eui, mail.receipt)
            return
        await self._inbox.put(mail)

    async def _collect(self) -> None:
        while not self._stopping.is_set():
            mails = await self._gather()
            if mails:
                outcome = await self._commit(mails)
                if outcome is not None:
                    self.figures.update(outcome.figures)
                    self._news.add(outcome)
                    await self._outcomes.put(outcome)

    async def _gather(self) -> list[Mail]:
        """The next batch: what comes within BATCH_S, at most about BATCH_TELEGRAMS."""
        mail = await self._inbox.get()
        mails: list[Mail] = []
        weight, until = 0, time.monotonic() + BATCH_S
        while mail is not None:
            mails.append(mail)
            weight += mail.weight
            if weight >= BATCH_TELEGRAMS or self._stopping.is_set():
                break
            if not self._inbox.empty():
                mail = self._inbox.get_nowait()
                continue
            try:
                mail = await asyncio.wait_for(self._inbox.get(), max(0.0, until - time.monotonic()))
            except TimeoutError:
                break
        return mails

    async def _commit(self, mails: Sequence[Mail]) -> Outcome | None:
        """Until the database has it; None when that is given up, and then nothing gets a receipt."""
        attempt = surprises = 0
        while True:
            try:
                return await self._in(self._database, lambda: self._ingest.run(mails, time.time_ns() // 1000))
            except GONE as error:
                log.warning("the database is away", extra={"error": str(error).strip()[:200], "attempt": attempt})
            except Exception:
                log.exception("batch failed", extra={"attempt": attempt})
                surprises += 1
            attempt += 1
            self.figures["failed_batches"] += 1
            if self._stopping.is_set() or surprises >= MAX_SURPRISES:
                return None
            wait = min(RETRY_MIN_S * 2 ** min(attempt, 16), RETRY_MAX_S)
            try:
                await asyncio.wait_for(self._stopping.wait(), wait)
            except TimeoutError:
                continue

    async def _send(self) -> None:
        """Receipts and news of what was committed. A receipt that finds no broker is dropped: it is asked for again."""
        while True:
            outcome = await self._outcomes.get()
            self._pages.tell(outcome.changes.messages())
            sent = [self._receipt(eui, some) for eui, results in outcome.receipts.items() for some in _parts(results)]
            for error in await asyncio.gather(*sent, return_exceptions=True):
                if isinstance(error, LinkDown):
                    self.figures["receipts_dropped"] += 1
                elif isinstance(error, BaseException):
                    log.error("receipt failed", exc_info=error)
            self._outcomes.task_done()

    async def _receipt(self, eui: str, results: Sequence[Result]) -> None:
        now = time.time()
        receipt = Receipt(messages.ulid(now, secrets.token_bytes(10)), messages.timestamp(now), tuple(results))
        await self._link.publish(topics.topic(eui, topics.DN_RECEIPT), messages.encode(receipt))

    async def _command(self) -> None:
        while True:
            await asyncio.sleep(COMMAND_S)
            if not self._link.connected:
                continue
            try:
                due = await self._in(self._side, self._commands.due)
            except Exception as error:
                log.warning("device tables could not be read", exc_info=not isinstance(error, GONE))
                continue
            for eui, parts in due:
                if not await self._publish(eui, parts):
                    self._commands.forget(eui)
                    break
                self.figures["device_tables"] += 1
                log.info("device table sent", extra={"concentrator": eui, "revision": parts[0].revision})

    async def _pair(self) -> None:
        """Pairings advance by what was committed, and configurations go out soon after their adapter was heard."""
        while True:
            await asyncio.sleep(PAIR_S)
            news, self._news = self._news, News()
            try:
                changes = await self._in(self._side, lambda: self._steps.advance(news))  # noqa: B023
                self._pages.tell(changes.messages())
                await self._in(self._side, lambda: self._slots.advance(news.adapters, news.events))  # noqa: B023
                await self._in(self._side, lambda: self._renewals.advance(news.adapters))  # noqa: B023
                if not self._link.connected:
                    continue
                due = await self._in(self._side, self._configurations.due)
            except Exception as error:
                self._news.add(news)
                log.warning("pairings could not be followed", exc_info=not isinstance(error, GONE))
                continue
            for eui, parts in due:
                if not await self._publish(eui, parts):
                    self._configurations.forget(parts)
                    break
                self.figures["configurations"] += 1

    async def _exchange_keys(self) -> None:
        """What came on port 34 is worked on, and what is due there goes out."""
        while True:
            await asyncio.sleep(KEYS_S)
            try:
                due = await self._in(self._side, lambda: self._key_port.turn(time.time()))
            except Exception as error:
                log.warning("key messages could not be worked on", exc_info=not isinstance(error, GONE))
                continue
            for eui, message in due:
                self.figures["key_commands"] += await self._publish(eui, [message])

    async def _publish(self, eui: str, parts: Sequence[messages.Command]) -> bool:
        """Hand commands to the broker in their order; False when the link went down over it."""
        try:
            for part in parts:
                await self._link.publish(topic_of(eui), messages.encode(part))
        except LinkDown:
            return False
        return True

    async def _beat(self) -> None:
        while True:
            figures = dict(self.figures) | {"waiting": self._inbox.qsize(), "pages_dropped": self._pages.dropped}
            connected = self._link.connected
            try:
                await self._in(self._side, lambda: self._heartbeat.beat(connected, figures))  # noqa: B023
            except Exception as error:
                log.warning("heartbeat failed", exc_info=not isinstance(error, GONE))
            await asyncio.sleep(Heartbeat.INTERVAL_S)

    async def _keep_the_door(self) -> None:
        """The broker's files, and the sessions of those who were shut out."""
        while True:
            try:
                await self._in(self._side, self._doorkeeper.look)
                for name in self._doorkeeper.due():
                    await self._put_out(name)
            except Exception as error:
                log.warning("the broker's files could not be kept", exc_info=not isinstance(error, GONE))
            await asyncio.sleep(Doorkeeper.INTERVAL_S)

    async def _put_out(self, name: str) -> None:
        try:
            await take_over(self._settings.link, name)
            self.figures["sessions_ended"] += 1
        except LinkDown as error:
            log.warning("a session could not be ended", extra={"concentrator": name, "error": str(error)})
            self._doorkeeper.again(name)

    async def _in(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, _with_connection, work)


async def _end(parts: Sequence[asyncio.Future[None]]) -> None:
    """Cancel and wait. CPython 3.11 may lose a cancellation that meets a result (gh-86296): then once more."""
    left = set(parts)
    while left:
        for part in left:
            part.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*parts, return_exceptions=True)  # so that none is reported as never looked at


def _with_connection(work: Callable[[], T]) -> T:
    """Run in this thread; a connection that failed is closed, so that the next call opens a new one."""
    try:
        return work()
    except Exception:
        connection.close()
        raise


def _parts(results: list[Result]) -> list[list[Result]]:
    return [results[at : at + MAX_RESULTS] for at in range(0, len(results), MAX_RESULTS)]


def spare_the_collector() -> None:
    """Batches make and drop hundreds of thousands of objects without cycles: look for cycles seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
