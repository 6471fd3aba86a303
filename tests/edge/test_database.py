"""The store: grouped durable commits, jobs that fail alone, disks that fill up, processes that die."""

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from edge.database import Database, StorageError, StorageFull, StorageUnusable

TABLE = "CREATE TABLE t (n INTEGER PRIMARY KEY)"


def insert(number: int):  # type: ignore[no-untyped-def]
    return lambda connection: connection.execute("INSERT INTO t VALUES (?)", (number,)).rowcount


@pytest.fixture
def store(tmp_path: Path):  # type: ignore[no-untyped-def]
    database = Database(tmp_path / "a.db", [TABLE])
    database.open()
    yield database
    database.close()


async def test_what_returned_is_committed_and_readable(store: Database) -> None:
    assert await store.run(insert(7)) == 1
    assert store.read.execute("SELECT n FROM t").fetchall() == [(7,)]


async def test_jobs_that_arrive_together_share_commits(store: Database) -> None:
    await asyncio.gather(*(store.run(insert(number)) for number in range(1000)))
    assert store.read.execute("SELECT count(*) FROM t").fetchone() == (1000,)
    assert store.commits < 100


async def test_a_job_that_raises_leaves_nothing_and_harms_no_neighbour(store: Database) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (50)")
        raise KeyError("changed my mind")

    results = await asyncio.gather(
        store.run(insert(1)), store.run(half), store.run(insert(1)), store.run(insert(2)), return_exceptions=True
    )
    assert isinstance(results[1], KeyError)
    assert isinstance(results[2], sqlite3.IntegrityError)
    assert store.read.execute("SELECT n FROM t ORDER BY n").fetchall() == [(1,), (2,)]


async def test_a_full_store_keeps_nothing_says_so_and_goes_on_when_there_is_space(tmp_path: Path) -> None:
    database = Database(tmp_path / "small.db", ["CREATE TABLE b (x BLOB)"], max_bytes=65536)
    database.open()
    with pytest.raises(StorageFull) as caught:
        await database.run(lambda connection: connection.execute("INSERT INTO b VALUES (zeroblob(100000))"))
    assert caught.value.temporary
    assert "nothing was stored or acknowledged" in str(caught.value)
    assert database.read.execute("SELECT count(*) FROM b").fetchone() == (0,)
    await database.run(lambda connection: connection.execute("INSERT INTO b VALUES (zeroblob(100))"))
    assert database.read.execute("SELECT count(*) FROM b").fetchone() == (1,)
    database.close()


async def test_a_file_size_limit_of_the_system_is_a_temporary_storage_error(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes write(2) fail as a quota or a full disk does."""
    database = Database(tmp_path / "limited.db", ["CREATE TABLE b (x BLOB)"])
    database.open()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        with pytest.raises(StorageError) as caught:
            await database.run(lambda connection: connection.execute("INSERT INTO b VALUES (randomblob(1000000))"))
        assert caught.value.temporary
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    await database.run(lambda connection: connection.execute("INSERT INTO b VALUES (zeroblob(10))"))
    assert database.read.execute("SELECT count(*) FROM b").fetchone() == (1,)
    database.close()


async def test_a_snapshot_shows_one_state_for_many_reads(store: Database) -> None:
    await store.run(insert(1))
    with store.snapshot() as read:
        assert read.execute("SELECT count(*) FROM t").fetchone() == (1,)
        other = sqlite3.connect(store.path)
        other.execute("INSERT INTO t VALUES (2)")
        other.commit()
        other.close()
        assert read.execute("SELECT count(*) FROM t").fetchone() == (1,)
    assert store.read.execute("SELECT count(*) FROM t").fetchone() == (2,)


def test_a_second_process_is_refused(store: Database) -> None:
    with pytest.raises(StorageUnusable, match="in use by another process"):
        Database(store.path, [TABLE]).open()


def test_migrations_run_once_and_a_newer_file_is_refused(tmp_path: Path) -> None:
    for scripts in ([TABLE], [TABLE, "ALTER TABLE t ADD COLUMN m"]):
        database = Database(tmp_path / "a.db", scripts)
        database.open()
        database.close()
    with pytest.raises(StorageUnusable, match="newer release"):
        Database(tmp_path / "a.db", [TABLE]).open()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageUnusable, match=r"a\.db cannot be used"):
        Database(tmp_path / "a.db", [TABLE]).open()


def test_the_file_is_for_its_owner_only(store: Database) -> None:
    for file in store.path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file


WRITER = """
import asyncio, sys
from pathlib import Path
from edge.database import Database
async def main():
    database = Database(Path(sys.argv[1]), ["CREATE TABLE t (n INTEGER PRIMARY KEY)"])
    database.open()
    start = database.read.execute("SELECT coalesce(max(n), 0) FROM t").fetchone()[0]
    for n in range(start + 1, start + 100_000):
        await database.run(lambda c: c.execute("INSERT INTO t VALUES (?)", (n,)))
        print(n, flush=True)
asyncio.run(main())
"""


def test_what_was_reported_before_kill_minus_9_is_there_afterwards(tmp_path: Path) -> None:
    path, last = tmp_path / "a.db", 0
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(20):
            child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        rest = [int(line) for line in child.stdout.read().split()]
        child.wait()
        database = Database(path, [TABLE])
        database.open()
        numbers = [n for (n,) in database.read.execute("SELECT n FROM t ORDER BY n")]
        database.close()
        last = max([last + 20, *rest])
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= last
