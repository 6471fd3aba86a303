"""The concentrator's own record of what it was told to do: append-only, bounded, chained by a keyed hash, without keys.

Rows are written in the transaction of what they tell, so that neither exists without the other. Who can become this
user on this machine can rewrite the chain; who edits a copy of the file, or the file without the credential, cannot.
"""

import hashlib
import hmac
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from concentrator_agent import store
from edge.clock import Clock
from edge.sealedfile import Credential, SealedFileError

MAX_ENTRIES: Final = 20_000
PORTAL: Final = "portal"  # whoever speaks on our branch of the broker, which its ACL leaves to the portal alone

_PURPOSE, _KEY, _HEAD, _START = "audit", "audit_key", "audit_head", "audit_start"
_FIRST: Final = bytes(32)  # stands for the hash before the first row


class Note(NamedTuple):
    """One thing that was done or refused: `what` is `device.add`, `table.refuse`, `downlink.take` and the like."""

    what: str
    result: str = "ok"
    dev_eui: str | None = None
    revision: int | None = None
    command: str | None = None
    detail: str = ""


class Row(NamedTuple):
    """A row of the table; `hash` covers the one before it and all other fields."""

    seq: int
    at: float
    who: str
    what: str
    result: str
    dev_eui: str | None
    revision: int | None
    command: str | None
    detail: str
    hash: bytes


class Verdict(NamedTuple):
    """What checking the chain gave: rows checked, the last one's number and hash, the first fault (None: whole)."""

    entries: int
    head: int
    hash: str
    fault: str | None


class Audit:
    """Writes the trail. `bound` is how many rows are kept; the oldest go."""

    def __init__(self, credential: Credential, clock: Clock, bound: int = MAX_ENTRIES) -> None:
        self._credential = credential
        self._clock = clock
        self._bound = bound

    def note(self, connection: sqlite3.Connection, notes: Iterable[Note]) -> None:
        """Append, inside a job of the database."""
        key = self._key(connection)
        seq, last = _point(connection, _HEAD)
        # A head that somebody took away breaks the chain, which `verify` tells; it must not stop the work.
        seq = max(seq, connection.execute("SELECT ifnull(max(seq), 0) FROM audit").fetchone()[0])
        for note in notes:
            seq += 1
            row = Row(seq, self._clock.time(), PORTAL, *note, b"")
            last = _chained(key, last, row)
            connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row._replace(hash=last))
        _set_point(connection, _HEAD, seq, last)
        self._forget(connection, seq - self._bound)

    def _forget(self, connection: sqlite3.Connection, up_to: int) -> None:
        newest = connection.execute("SELECT seq, hash FROM audit WHERE seq <= ? ORDER BY seq DESC LIMIT 1", (up_to,))
        for seq, last in newest.fetchall():
            _set_point(connection, _START, seq, last)
            connection.execute("DELETE FROM audit WHERE seq <= ?", (up_to,))

    def _key(self, connection: sqlite3.Connection) -> bytes:
        sealed = store.setting(connection, _KEY)
        if sealed is not None:
            return self._credential.open(sealed, _PURPOSE)
        key = os.urandom(32)
        store.put_setting(connection, _KEY, self._credential.seal(key, _PURPOSE))
        return key


def rows(connection: sqlite3.Connection, since: float = 0.0) -> Iterator[Row]:
    """Oldest first, from Unix time `since` on."""
    for row in connection.execute("SELECT * FROM audit WHERE at >= ? ORDER BY seq", (since,)):
        yield Row(*row)


def verify(connection: sqlite3.Connection, credential: Credential) -> Verdict:
    """Check every row that is kept, the start and the end of the chain."""
    head, head_hash = _point(connection, _HEAD)
    seq, last = _point(connection, _START)
    sealed, count = store.setting(connection, _KEY), 0
    if sealed is None:
        kept = connection.execute("SELECT count(*) FROM audit").fetchone()[0]
        return Verdict(kept, head, head_hash.hex(), "the trail has rows but no key" if kept or head else None)
    try:
        key = credential.open(sealed, _PURPOSE)
    except SealedFileError as error:
        return Verdict(0, head, head_hash.hex(), str(error))
    for row in rows(connection, float("-inf")):
        seq, count = seq + 1, count + 1
        if row.seq != seq:
            return Verdict(count, head, head_hash.hex(), f"row {seq} is missing")
        last = _chained(key, last, row)
        if not hmac.compare_digest(last, row.hash):
            return Verdict(count, head, head_hash.hex(), f"row {seq} was changed, or the one before it")
    if (seq, last) != (head, head_hash):
        return Verdict(count, head, head_hash.hex(), f"the trail ends with row {seq}, but row {head} was written")
    return Verdict(count, head, head_hash.hex(), None)


def _chained(key: bytes, before: bytes, row: Row) -> bytes:
    content = json.dumps(row[:-1], separators=(",", ":")).encode()
    return hmac.new(key, before + content, hashlib.sha256).digest()


def _point(connection: sqlite3.Connection, name: str) -> tuple[int, bytes]:
    """A place in the chain: (row number, hash) after which it goes on."""
    value = store.setting(connection, name)
    return (0, _FIRST) if value is None else (int.from_bytes(value[:8], "big"), value[8:])


def _set_point(connection: sqlite3.Connection, name: str, seq: int, last: bytes) -> None:
    store.put_setting(connection, name, seq.to_bytes(8, "big") + last)
