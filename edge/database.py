"""One SQLite file with one writer thread: jobs that arrive together share one durable commit."""

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from meterwire.errors import MeterspanError

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]
MAX_GROUP = 500  # jobs in one commit


class StorageError(MeterspanError):
    """The store did not take it: nothing of the call was kept. Disk full or failing; worth trying again."""

    code = "storage"
    temporary = True


class StorageFull(StorageError):
    """No space left; free some or raise the bound."""

    code = "storage_full"


class StorageUnusable(MeterspanError):
    """The file cannot be opened: in use by another process, damaged, or of a newer release."""

    code = "storage_unusable"


class Database:
    """Durable storage of one daemon: WAL, synchronous FULL, one writer thread, group commit.

    `migrations` are SQL scripts; each runs once, in order. `max_bytes` bounds the file (None: the disk does).
    `read` is a read-only connection for the event loop's thread; it sees committed data only.
    """

    read: sqlite3.Connection

    def __init__(self, path: Path, migrations: Sequence[str], max_bytes: int | None = None) -> None:
        self.path = path
        self._migrations = migrations
        self._max_bytes = max_bytes
        self._jobs: queue.SimpleQueue[tuple[Job[Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._rollback_callbacks: list[Callable[[], None]] = []
        self.commits = 0  # progress, for the watchdog and for measuring the grouping

    def open(self) -> None:
        """Take the file for this process and start the writer. Raises StorageUnusable."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = self._lock_file()
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._write = self._connect()
            self._migrate()
            self.read = self._connect()
            self.read.execute("PRAGMA query_only=ON")
        except (sqlite3.Error, OSError) as error:
            os.close(self._lock)
            raise StorageUnusable(
                f"{self.path} cannot be used ({error}); restore it from a backup or move it away"
            ) from None
        except StorageUnusable:
            os.close(self._lock)
            raise
        self._thread = threading.Thread(target=self._work, name="database", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish the queued jobs and let go of the file."""
        if self._thread is None:
            return
        self._jobs.put(None)
        self._thread.join()
        self._thread = None
        self.read.close()
        self._write.close()
        os.close(self._lock)

    async def run(self, job: Job[T]) -> T:
        """Run `job` on the writer thread; returns its result once that is durably committed.

        A job that raises leaves nothing behind and raises here. Raises StorageError when the disk fails: then
        nothing was kept, and nothing may be acknowledged.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put((job, future))
        return await future

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """One view of the committed data for many reads through `read`, which is quicker. Do not await inside."""
        self.read.execute("BEGIN")
        try:
            yield self.read
        finally:
            self.read.execute("COMMIT")

    def on_rollback(self, callback: Callable[[], None]) -> None:
        """Called on the writer thread when work was undone, so that counts held in memory can be taken anew."""
        self._rollback_callbacks.append(callback)

    def _lock_file(self) -> int:
        lock = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise StorageUnusable(f"{self.path} is in use by another process; stop that one first") from None
        return lock

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=32)
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-128",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA journal_size_limit=1048576")
        if self._max_bytes is not None:
            page: int = connection.execute("PRAGMA page_size").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count={max(1, self._max_bytes // page)}")
        return connection

    def _migrate(self) -> None:
        version: int = self._write.execute("PRAGMA user_version").fetchone()[0]
        if version > len(self._migrations):
            raise StorageUnusable(f"{self.path} was written by a newer release (schema {version}); update this one")
        for number in range(version, len(self._migrations)):
            self._write.executescript(
                f"BEGIN IMMEDIATE; {self._migrations[number]}; PRAGMA user_version={number + 1}; COMMIT;"
            )

    def _work(self) -> None:
        running = True
        while running:
            group: list[tuple[Job[Any], asyncio.Future[Any]]] = []
            item = self._jobs.get()
            while item is not None:
                group.append(item)
                if len(group) >= MAX_GROUP or self._jobs.empty():
                    break
                item = self._jobs.get()
            running = item is not None
            if group:
                _deliver(self._commit(group))

    def _commit(self, group: list[tuple[Job[Any], asyncio.Future[Any]]]) -> "list[_Outcome]":
        outcomes: list[_Outcome] = []
        undone = False
        try:
            self._write.execute("BEGIN IMMEDIATE")
            for job, future in group:
                self._write.execute("SAVEPOINT job")
                try:
                    outcomes.append((future, job(self._write), None))
                except sqlite3.OperationalError:
                    raise
                except Exception as error:  # the caller's own error: undo this job alone
                    self._write.execute("ROLLBACK TO job")
                    undone = True
                    outcomes.append((future, None, error))
                self._write.execute("RELEASE job")
            self._write.execute("COMMIT")
            self.commits += 1
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._write.execute("ROLLBACK")
            undone = True
            outcomes = [(future, None, _storage_error(error, self.path)) for _, future in group]
        if undone:
            for callback in self._rollback_callbacks:
                callback()
        return outcomes


_Outcome = tuple[asyncio.Future[Any], Any, Exception | None]


def _deliver(outcomes: list[_Outcome]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].get_loop(), []).append(outcome)
    for loop, some in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, some)


def _resolve(outcomes: list[_Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def _storage_error(error: sqlite3.Error, path: Path) -> StorageError:
    if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
        return StorageFull(
            f"{path} is full: nothing was stored or acknowledged; free space on the disk or raise the bound"
        )
    return StorageError(f"{path} did not take the data ({error}); nothing was acknowledged, it will be tried again")
