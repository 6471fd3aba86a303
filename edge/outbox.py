"""What must not be lost until the other side has it: a durable queue, bounded by bytes and by age.

Drop policy: when a bound is reached the oldest entries go first; they are counted, and the count is reported.
"""

import math
import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from edge.clock import Clock
from edge.database import Database
from meterwire.errors import LimitExceeded


def schema(name: str) -> str:
    """The tables of the outbox of that name, for the migrations of its database."""
    return f"""
CREATE TABLE {name} (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, kind TEXT NOT NULL, at REAL NOT NULL,
    body BLOB NOT NULL);
CREATE TABLE {name}_dropped (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL, oldest REAL);
INSERT INTO {name}_dropped VALUES (1, 0, NULL)
"""  # noqa: S608 (a constant)


SCHEMA = schema("outbox")
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
    """The queue as tables of `database` (whose migrations contain `schema(name)`, a constant of the program). `wake` is
    called after each new commit.
    """

    def __init__(self, database: Database, limits: Limits, clock: Clock, name: str = "outbox") -> None:
        self._name = name
        self._count_query = f"SELECT count(*), coalesce(sum(length(body) + {ROW_BYTES}), 0) FROM {name}"  # noqa: S608
        self._database = database
        self._limits = limits
        self._clock = clock
        self._depth = self._bytes = self._dropped = 0
        self._none_before = -math.inf  # no entry is of an earlier time, so that nobody need look
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
        connection.executemany(f"INSERT INTO {self._name} (id, kind, at, body) VALUES (?, ?, ?, ?)", entries)  # noqa: S608
        self._none_before = min((self._none_before, *(entry.at for entry in entries)))
        self._depth += len(entries)
        self._bytes += size
        while self._bytes > self._limits.max_bytes and self._depth:
            self._drop(connection, "ORDER BY seq LIMIT 100")

    async def expire(self) -> int:
        """Drop what is older than the bound; the number dropped."""
        oldest_allowed = self._clock.time() - self._limits.max_age_s
        if oldest_allowed <= self._none_before:
            return 0

        def job(connection: sqlite3.Connection) -> int:
            self._count(connection)
            dropped = self._drop(connection, "WHERE at < ? ORDER BY seq LIMIT 1000", (oldest_allowed,))
            oldest = connection.execute(f"SELECT min(at) FROM {self._name}").fetchone()[0]  # noqa: S608
            self._none_before = math.inf if oldest is None else oldest
            return dropped

        return await self._database.run(job)

    def after(self, seq: int, limit: int) -> list[Stored]:
        """Committed entries behind `seq`, oldest first. To be called on the event loop's thread."""
        rows = self._database.read.execute(
            f"SELECT seq, id, kind, at, body FROM {self._name} WHERE seq > ? ORDER BY seq LIMIT ?",  # noqa: S608
            (seq, limit),
        )
        return [Stored(*row) for row in rows]

    async def remove(self, seqs: Sequence[int]) -> int:
        """Delete delivered entries; the number that were still there."""

        def job(connection: sqlite3.Connection) -> int:
            self._count(connection)
            gone = 0
            for seq in seqs:
                query = f"DELETE FROM {self._name} WHERE seq = ? RETURNING length(body)"  # noqa: S608
                row = connection.execute(query, (seq,)).fetchone()
                if row is not None:
                    gone += 1
                    self._depth -= 1
                    self._bytes -= row[0] + ROW_BYTES
            return gone

        return await self._database.run(job)

    def stats(self) -> Stats:
        """How full it is. To be called on the event loop's thread."""
        read = self._database.read
        oldest = read.execute(f"SELECT at FROM {self._name} ORDER BY seq LIMIT 1").fetchone()  # noqa: S608
        dropped, dropped_oldest = read.execute(f"SELECT count, oldest FROM {self._name}_dropped").fetchone()  # noqa: S608
        if self._recount:
            depth, size = read.execute(self._count_query).fetchone()
        else:
            depth, size = self._depth, self._bytes
        age = max(0.0, self._clock.time() - oldest[0]) if oldest else 0.0
        return Stats(depth, size, age, dropped, dropped_oldest)

    def _drop(self, connection: sqlite3.Connection, which: str, arguments: tuple[float, ...] = ()) -> int:
        query = f"SELECT seq, at, length(body) FROM {self._name} {which}"  # noqa: S608
        rows = connection.execute(query, arguments).fetchall()
        excess = self._bytes - self._limits.max_bytes
        count = 0
        for seq, _, size in rows:
            if not arguments and excess <= 0:
                break
            connection.execute(f"DELETE FROM {self._name} WHERE seq = ?", (seq,))  # noqa: S608
            excess -= size + ROW_BYTES
            self._depth -= 1
            self._bytes -= size + ROW_BYTES
            count += 1
        if count:
            oldest = min(at for _, at, _ in rows[:count])
            connection.execute(
                f"UPDATE {self._name}_dropped SET count = count + ?, oldest = min(coalesce(oldest, ?), ?)",  # noqa: S608
                (count, oldest, oldest),
            )
        return count

    def _count(self, connection: sqlite3.Connection) -> None:
        if self._recount:
            self._depth, self._bytes = connection.execute(self._count_query).fetchone()
            self._recount = False

    def _count_anew(self) -> None:
        self._recount, self._none_before = True, -math.inf
