"""The pump: batches by size and time, nothing leaves the outbox before its receipt, what is lost is sent again."""

import asyncio
import random
from collections.abc import AsyncIterator

import msgspec
import pytest

from concentrator_agent.backhaul.outbox_pump import OutboxPump
from concentrator_agent.modes import InterfaceClosed
from concentrator_agent.store import MIGRATIONS
from edge.clock import ManualClock
from edge.database import Database
from edge.mqtt import LinkDown
from edge.outbox import Entry, Limits, Outbox
from edge.ulids import Ulids
from meterwire import messages, topics
from tests.concentrator_agent.lab import settle


class Way:
    """The way to the portal: takes messages, or refuses them."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.error: Exception | None = None

    async def publish(self, branch: str, body: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append((branch, body))

    def batches(self) -> list[list[str]]:
        return [
            [telegram.id for telegram in messages.decode_telegrams(body).telegrams]
            for branch, body in self.taken
            if branch == topics.UP_TELEGRAM
        ]


class Bench:
    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.clock = clock
        self.way = Way()
        self.ulids = Ulids(clock)
        self.outbox = Outbox(database, Limits(), clock)
        self.pump = OutboxPump(
            self.outbox, self.way.publish, clock, self.ulids, max_unreceipted=3, resend_s=30.0, rng=random.Random(1)
        )
        self.outbox.wake = self.pump.wake
        self.task = asyncio.ensure_future(self.pump.run())

    async def telegrams(self, count: int) -> list[str]:
        entries = [self._telegram() for _ in range(count)]
        await self.outbox.put(entries)
        await settle()
        return [entry.id for entry in entries]

    def _telegram(self) -> Entry:
        telegram = messages.Telegram(
            id=self.ulids(),
            dev_eui="70b3d57ed0060001",
            fport=16,
            fcnt=1,
            payload=b"x" * 16,
            rx=(messages.Rx("aa00000000000001", -80.0, 5.0),),
            dr=5,
            freq=868_100_000,
            received_at=messages.timestamp(self.clock.time()),
            time_quality="ntp",
        )
        return Entry(telegram.id, "telegram", self.clock.time(), msgspec.json.encode(telegram))

    async def event(self) -> str:
        event = messages.Event(self.ulids(), messages.timestamp(self.clock.time()), "gateway")
        await self.outbox.put([Entry(event.id, "event", self.clock.time(), messages.encode(event))])
        await settle()
        return event.id

    async def receipt(self, *ids: str, code: str | None = None) -> None:
        results = tuple(messages.Result(one, code) for one in ids)
        await self.pump.receive(messages.Receipt(self.ulids(), messages.timestamp(self.clock.time()), results))
        await settle()


@pytest.fixture
async def bench(tmp_path, clock: ManualClock) -> AsyncIterator[Bench]:  # type: ignore[no-untyped-def]
    database = Database(tmp_path / "c.db", MIGRATIONS)
    database.open()
    bench = Bench(database, clock)
    bench.pump.connected()
    await settle()
    yield bench
    bench.task.cancel()
    await asyncio.gather(bench.task, return_exceptions=True)
    database.close()


async def test_a_few_telegrams_wait_250_ms_and_go_together(bench: Bench) -> None:
    first = await bench.telegrams(2)
    await bench.clock.advance(0.2)
    second = await bench.telegrams(1)
    assert bench.way.taken == []
    await bench.clock.advance(0.06)
    assert bench.way.batches() == [first + second]


async def test_a_full_batch_goes_at_once(bench: Bench) -> None:
    ids = await bench.telegrams(130)
    assert bench.way.batches() == [ids[:60], ids[60:120]]
    await bench.clock.advance(0.25)
    assert bench.way.batches() == [ids[:60], ids[60:120], ids[120:]]


async def test_an_event_goes_at_once_on_its_own_branch_and_in_order(bench: Bench) -> None:
    telegram = await bench.telegrams(1)
    event = await bench.event()
    assert bench.way.batches() == [telegram]
    branch, body = bench.way.taken[1]
    assert (branch, messages.decode_event(body).id) == (topics.UP_EVENT, event)


async def test_nothing_leaves_the_outbox_before_its_receipt(bench: Bench) -> None:
    ids = await bench.telegrams(60)
    assert bench.outbox.stats().depth == 60
    await bench.receipt(*ids[:40])
    assert (bench.outbox.stats().depth, bench.pump.unreceipted) == (20, 1)
    await bench.receipt(*ids[40:])
    assert (bench.outbox.stats().depth, bench.pump.unreceipted) == (0, 0)


async def test_no_more_messages_are_out_than_allowed(bench: Bench) -> None:
    ids = await bench.telegrams(300)
    assert len(bench.way.taken) == bench.pump.unreceipted == 3
    await bench.receipt(*ids[60:120])
    assert bench.way.batches() == [ids[:60], ids[60:120], ids[120:180], ids[180:240]]


async def test_what_gets_no_receipt_is_sent_again_without_what_was_receipted(bench: Bench) -> None:
    ids = await bench.telegrams(60)
    await bench.receipt(*ids[10:])
    await bench.clock.advance(38)
    assert bench.way.batches() == [ids, ids[:10]]
    assert bench.pump.repeated == 1


async def test_repetitions_are_spread_by_jitter(bench: Bench) -> None:
    await bench.telegrams(180)
    await bench.clock.advance(22)
    assert len(bench.way.taken) == 3
    dues = {flight.due for flight in bench.pump._flights}
    assert len(dues) == 3
    assert all(22.5 <= due <= 37.5 for due in dues)


async def test_after_a_reconnection_everything_out_is_sent_again_at_once(bench: Bench) -> None:
    ids = await bench.telegrams(60)
    bench.pump.disconnected()
    await bench.clock.advance(100)
    assert len(bench.way.taken) == 1
    bench.pump.connected()
    await settle()
    assert bench.way.batches() == [ids, ids]


@pytest.mark.parametrize("error", [LinkDown("gone"), InterfaceClosed("closed")])
async def test_a_message_that_was_not_taken_is_tried_again_soon(bench: Bench, error: Exception) -> None:
    bench.way.error = error
    ids = await bench.telegrams(60)
    bench.way.error = None
    await bench.clock.advance(1.1)
    assert bench.way.batches() == [ids]
    assert bench.outbox.stats().depth == 60


async def test_a_refused_entry_leaves_and_is_counted_and_a_strange_receipt_changes_nothing(bench: Bench) -> None:
    ids = await bench.telegrams(60)
    await bench.receipt("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert bench.outbox.stats().depth == 60
    await bench.receipt(ids[0], code="unknown_adapter")
    assert (bench.outbox.stats().depth, bench.pump.refused) == (59, 1)


async def test_a_new_process_sends_what_the_old_one_had_not_delivered(bench: Bench) -> None:
    ids = await bench.telegrams(60)
    bench.task.cancel()
    again = OutboxPump(bench.outbox, bench.way.publish, bench.clock, bench.ulids)
    again.connected()
    task = asyncio.ensure_future(again.run())
    await settle()
    assert bench.way.batches() == [ids, ids]
    task.cancel()
