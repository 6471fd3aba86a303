"""The outbox: in order, until removed, within its bounds; what it drops is counted."""

from pathlib import Path

import pytest

from edge.clock import ManualClock
from edge.database import Database, StorageFull
from edge.outbox import MAX_BODY_BYTES, ROW_BYTES, SCHEMA, Entry, Limits, Outbox
from meterwire.errors import LimitExceeded


def entry(number: int, at: float = 0.0, size: int = 10) -> Entry:
    return Entry(f"{number:026d}", "telegram", at, b"x" * size)


def numbers(outbox: Outbox) -> list[int]:
    return [int(stored.id) for stored in outbox.after(0, 10_000)]


async def test_entries_come_in_order_and_stay_until_removed(database: Database, clock: ManualClock) -> None:
    outbox = Outbox(database, Limits(), clock)
    await outbox.put([entry(1, clock.time()), entry(2, clock.time())])
    await outbox.put([entry(3, clock.time())])
    first, second, third = outbox.after(0, 10)
    assert [stored.id for stored in outbox.after(first.seq, 1)] == [second.id]
    assert await outbox.remove([first.seq, third.seq, 99]) == 2
    assert numbers(outbox) == [2]
    clock.jump(60)
    stats = outbox.stats()
    assert (stats.depth, stats.bytes, stats.oldest_age_s, stats.dropped) == (1, 10 + ROW_BYTES, 60.0, 0)


async def test_everything_survives_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    for round_ in range(2):
        database = Database(tmp_path / "store.db", [SCHEMA])
        database.open()
        outbox = Outbox(database, Limits(), clock)
        if round_ == 0:
            await outbox.put([entry(1), entry(2)])
        assert numbers(outbox) == [1, 2]
        assert outbox.stats().depth == 2
        database.close()


async def test_over_the_byte_bound_the_oldest_go_and_are_counted(database: Database, clock: ManualClock) -> None:
    outbox = Outbox(database, Limits(max_bytes=10 * (10 + ROW_BYTES)), clock)
    await outbox.put([entry(number, at=1000.0 + number) for number in range(10)])
    assert outbox.stats().dropped == 0
    await outbox.put([entry(number, at=1000.0 + number) for number in range(10, 13)])
    assert numbers(outbox) == list(range(3, 13))
    stats = outbox.stats()
    assert (stats.depth, stats.dropped, stats.dropped_oldest_at) == (10, 3, 1000.0)


async def test_over_the_age_bound_entries_go_and_are_counted(database: Database, clock: ManualClock) -> None:
    outbox = Outbox(database, Limits(max_age_s=100), clock)
    await outbox.put([entry(1, clock.time()), entry(2, clock.time() + 50)])
    clock.jump(101)
    assert await outbox.expire() == 1
    assert numbers(outbox) == [2]
    assert outbox.stats().dropped == 1


async def test_a_failed_job_does_not_disturb_the_counts(database: Database, clock: ManualClock) -> None:
    outbox = Outbox(database, Limits(), clock)
    await outbox.put([entry(1)])

    def job(connection):  # type: ignore[no-untyped-def]
        outbox.insert(connection, [entry(2), entry(3)])
        raise KeyError

    with pytest.raises(KeyError):
        await database.run(job)
    assert outbox.stats().depth == 1
    await outbox.put([entry(4)])
    assert (numbers(outbox), outbox.stats().depth) == ([1, 4], 2)


async def test_a_full_disk_is_a_clear_temporary_error_and_keeps_nothing_of_the_call(
    tmp_path: Path, clock: ManualClock
) -> None:
    database = Database(tmp_path / "small.db", [SCHEMA], max_bytes=100_000)
    database.open()
    outbox = Outbox(database, Limits(), clock)
    await outbox.put([entry(1, size=1000)])
    with pytest.raises(StorageFull, match="nothing was stored") as caught:
        await outbox.put([entry(number, size=10_000) for number in range(2, 20)])
    assert caught.value.temporary
    assert (numbers(outbox), outbox.stats().depth) == ([1], 1)
    await outbox.put([entry(20)])
    assert numbers(outbox) == [1, 20]
    database.close()


async def test_an_oversized_entry_is_refused(database: Database, clock: ManualClock) -> None:
    outbox = Outbox(database, Limits(), clock)
    with pytest.raises(LimitExceeded):
        await outbox.put([entry(1, size=MAX_BODY_BYTES + 1)])
    assert outbox.stats().depth == 0


async def test_who_looks_for_old_entries_wakes_the_writer_only_when_there_can_be_one(
    database: Database, clock: ManualClock
) -> None:
    outbox = Outbox(database, Limits(max_age_s=100), clock)
    await outbox.put([entry(1, clock.time()), entry(2, clock.time() + 50)])
    await outbox.expire()
    committed = database.commits
    clock.jump(100)
    assert [await outbox.expire() for _ in range(3)] == [0, 0, 0]
    assert database.commits == committed
    clock.jump(1)
    assert await outbox.expire() == 1
    await outbox.put([entry(3, clock.time() - 200)])
    assert await outbox.expire() == 1, "one that came late and is old already"
    assert numbers(outbox) == [2]
