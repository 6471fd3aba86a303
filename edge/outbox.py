"""What must not be lost until the other side has it: a durable queue, bounded by bytes and by age.

Drop policy: when a bound is reached the oldest entries go first; they are counted, and the count is reported.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from edge.clock import Clock
from edge.database import Database
from meterwire.errors import LimitExceeded

SCHEMA = """
CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL,
    body BLOB NOT NULL);
CREATE TABLE outbox_dropped (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL, oldest REAL);
INSERT INTO outbox_dropped VALUES (1, 0, NULL)
"""
ROW_BYTES = 64  # what SQLite needs beside the body, roughly; part of the bound
MAX_BODY_BYTES = 128 * 1024


class Entry(NamedTuple):
    """Something to deliver: `id` known to the other side, `kind` says what it is, `at` when it arose (Unix s)."""

    id: str
    kind: str
    at: float
    body: bytes


class Stored(NamedTuple):
    """An entry in its place; `seq` rises in the order of arrival and names it towards `remove`."""

    seq: int
    id: str
    kind: str
    at: float
    body: bytes


class Limits(msgspec.Struct, frozen=True):
    """Bounds: bytes on disk (bodies and rows) and the age in seconds after which an entry is dropped."""

    max_bytes: int = 64 * 1024 * 1024
    max_age_s: float = 90 * 86400.0


class Stats(msgspec.Struct, frozen=True):
    depth: int
    bytes: int
    oldest_age_s: float
    dropped: int  # ever
    dropped_oldest_at: float | None


class Outbox:
    """The queue as tables of `database` (whose migrations contain SCHEMA). `wake` is called after each new commit."""

    def __init__(self, database: Database, limits: Limits, clock: Clock) -> None:
        self._database = database
        self._limits = limits
        self._clock = clock
        self._depth = self._bytes = self._dropped = 0
        self._recount = True
        self.wake: Callable[[], None] = lambda: None
        database.on_rollback(self._count_anew)

    async def put(self, entries: Sequence[Entry]) -> None:
        """Durably stored when this returns. Raises StorageError (temporary): then none of them is."""
        await self._database.run(lambda connection: self.insert(connection, entries))
        self.wake()

    def insert(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        """Store inside a job of the database, together with the caller's own rows; call `wake` after the commit."""
        self._count(connection)
        size = 0
        for entry in entries:
            if len(entry.body) > MAX_BODY_BYTES:
                raise LimitExceeded(f"an outbox entry of {len(entry.body)} bytes; at most {MAX_BODY_BYTES} are taken")
            size += len(entry.body) + ROW_BYTES
        connection.executemany("INSERT INTO outbox (id, kind, at, body) VALUES (?, ?, ?, ?)", entries)
        self._depth += len(entries)
        self._bytes += size
        while self._bytes > self._limits.max_bytes and self._depth:
            self._drop(connection, "ORDER BY seq LIMIT 100")

    async def expire(self) -> int:
        """Drop what is older than the bound; the number dropped."""
        oldest_allowed = self._clock.time() - self._limits.max_age_s

        def job(connection: sqlite3.Connection) -> int:
            self._count(connection)
            return self._drop(connection, "WHERE at < ? ORDER BY seq LIMIT 1000", (oldest_allowed,))

        return await self._database.run(job)

    def after(self, seq: int, limit: int) -> list[Stored]:
        """Committed entries behind `seq`, oldest first. To be called on the event loop's thread."""
        rows = self._database.read.execute(
            "SELECT seq, id, kind, at, body FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit)
        )
        return [Stored(*row) for row in rows]

    async def remove(self, seqs: Sequence[int]) -> int:
        """Delete delivered entries; the number that were still there."""

        def job(connection: sqlite3.Connection) -> int:
            self._count(connection)
            gone = 0
            for seq in seqs:
                row = connection.execute("DELETE FROM outbox WHERE seq = ? RETURNING length(body)", (seq,)).fetchone()
                if row is not None:
                    gone += 1
                    self._depth -= 1
                    self._bytes -= row[0] + ROW_BYTES
            return gone

        return await self._database.run(job)

    def stats(self) -> Stats:
        """How full it is. To be called on the event loop's thread."""
        read = self._database.read
        oldest = read.execute("SELECT at FROM outbox ORDER BY seq LIMIT 1").fetchone()
        dropped, dropped_oldest = read.execute("SELECT count, oldest FROM outbox_dropped").fetchone()
        if self._recount:
            depth, size = read.execute(_COUNT).fetchone()
        else:
            depth, size = self._depth, self._bytes
        age = max(0.0, self._clock.time() - oldest[0]) if oldest else 0.0
        return Stats(depth, size, age, dropped, dropped_oldest)

    def _drop(self, connection: sqlite3.Connection, which: str, arguments: tuple[float, ...] = ()) -> int:
        rows = connection.execute(f"SELECT seq, at, length(body) FROM outbox {which}", arguments).fetchall()  # noqa: S608
        excess = self._bytes - self._limits.max_bytes
        count = 0
        for seq, _, size in rows:
            if not arguments and excess <= 0:
                break
            connection.execute("DELETE FROM outbox WHERE seq = ?", (seq,))
            excess -= size + ROW_BYTES
            self._depth -= 1
            self._bytes -= size + ROW_BYTES
            count += 1
        if count:
            oldest = min(at for _, at, _ in rows[:count])
            connection.execute(
                "UPDATE outbox_dropped SET count = count + ?, oldest = min(coalesce(oldest, ?), ?)",
                (count, oldest, oldest),
            )
        return count

    def _count(self, connection: sqlite3.Connection) -> None:
        if self._recount:
            self._depth, self._bytes = connection.execute(_COUNT).fetchone()
            self._recount = False

    def _count_anew(self) -> None:
        self._recount = True


_COUNT = f"SELECT count(*), coalesce(sum(length(body) + {ROW_BYTES}), 0) FROM outbox"  # noqa: S608 (a constant)
