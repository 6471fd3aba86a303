"""The concentrator's durable tables: device table, sessions, nonces, downlinks, settings, audit trail, and the outbox.

Functions of one row each, to be called inside a job of the database; what is secret arrives here sealed.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from edge import outbox

MIGRATIONS: Final = (
    outbox.SCHEMA
    + """;
CREATE TABLE device (
    dev_eui TEXT PRIMARY KEY,
    join_eui TEXT NOT NULL,
    lorawan TEXT NOT NULL,
    is_foreign INTEGER NOT NULL,
    root_key BLOB,                          -- sealed; NULL for a device activated by personalisation
    last_dev_nonce INTEGER,                 -- 1.0.4: the highest ever used
    join_nonce INTEGER NOT NULL DEFAULT 0,  -- the last one given
    joins INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE nonce (                        -- 1.0.2 and 1.0.3 draw theirs at random
    dev_eui TEXT NOT NULL REFERENCES device ON DELETE CASCADE,
    dev_nonce INTEGER NOT NULL,
    PRIMARY KEY (dev_eui, dev_nonce)
) WITHOUT ROWID;
CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    dev_eui TEXT NOT NULL REFERENCES device ON DELETE CASCADE,
    dev_addr INTEGER NOT NULL,
    epoch INTEGER NOT NULL,                 -- joins before this one
    pending INTEGER NOT NULL,               -- 1 until the device is heard under it
    keys BLOB NOT NULL,                     -- sealed
    fcnt_up INTEGER NOT NULL DEFAULT 0,     -- next expected
    fcnt_down INTEGER NOT NULL DEFAULT 0,   -- first value that was never reserved
    counter INTEGER,                        -- next inner counter of ports 16 and 17; NULL unknown
    mac BLOB NOT NULL,
    UNIQUE (dev_eui, pending)
);
CREATE INDEX session_dev_addr ON session (dev_addr);
CREATE TABLE staged (                       -- entries of a device-table revision until all its parts are in
    dev_eui TEXT PRIMARY KEY,
    action TEXT NOT NULL,                   -- put, remove, or keep (refused: stays as it is)
    join_eui TEXT,
    lorawan TEXT,
    is_foreign INTEGER,
    root_key BLOB,
    dev_addr INTEGER,
    keys BLOB,
    mac BLOB,
    same INTEGER NOT NULL DEFAULT 0         -- 1 when the keys are those in use
) WITHOUT ROWID;
CREATE TABLE downlink (
    id TEXT PRIMARY KEY,
    dev_eui TEXT NOT NULL,
    fport INTEGER NOT NULL,
    payload BLOB NOT NULL,
    confirmed INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    expires_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0         -- kept until it expires, so that a repeated command is recognised
) WITHOUT ROWID;
CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID
""",
    """
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,                       -- Unix seconds
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    result TEXT NOT NULL,                   -- ok, or the code of the refusal
    dev_eui TEXT,
    revision INTEGER,                       -- of the device table
    command TEXT,                           -- the message's id
    detail TEXT NOT NULL,
    hash BLOB NOT NULL
);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
CREATE TRIGGER audit_loses_its_oldest_only BEFORE DELETE ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE seq < OLD.seq)
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END
""",
    """
ALTER TABLE device ADD COLUMN transport_key BLOB;  -- sealed; NULL where the concentrator agrees no keys with the device
ALTER TABLE staged ADD COLUMN transport_key BLOB
""",
    """
ALTER TABLE device ADD COLUMN slot BLOB;   -- meterwire.time_entries.SlotEntry in JSON; NULL for a device without
ALTER TABLE staged ADD COLUMN slot BLOB;
CREATE TABLE track (                        -- what is known of a device's clock, in the slot that `state` names
    dev_eui TEXT PRIMARY KEY REFERENCES device ON DELETE CASCADE,
    state BLOB NOT NULL
) WITHOUT ROWID
""",
    outbox.schema("target")  # opened values on their way to another system
    + """;
CREATE TABLE opened (                       -- the highest inner counter whose values were forwarded opened
    dev_eui TEXT PRIMARY KEY,
    counter INTEGER NOT NULL
) WITHOUT ROWID
""",
)


class DeviceRow(NamedTuple):
    dev_eui: str
    join_eui: str
    lorawan: str
    is_foreign: int
    root_key: bytes | None
    last_dev_nonce: int | None
    join_nonce: int
    joins: int
    transport_key: bytes | None = None
    slot: bytes | None = None


class SessionRow(NamedTuple):
    id: int
    dev_eui: str
    dev_addr: int
    epoch: int
    pending: int
    keys: bytes
    fcnt_up: int
    fcnt_down: int
    counter: int | None
    mac: bytes


class StagedRow(NamedTuple):
    """`dev_addr`, `keys` and `mac` belong to activation by personalisation."""

    dev_eui: str
    action: str
    join_eui: str | None = None
    lorawan: str | None = None
    is_foreign: int = 0
    root_key: bytes | None = None
    dev_addr: int | None = None
    keys: bytes | None = None
    mac: bytes | None = None
    same: int = 0
    transport_key: bytes | None = None
    slot: bytes | None = None


class DownlinkRow(NamedTuple):
    id: str
    dev_eui: str
    fport: int
    payload: bytes
    confirmed: int
    priority: int
    expires_at: float
    attempts: int
    done: int


class Progress(NamedTuple):
    """What an uplink changes in its session, in the order of the statement."""

    fcnt_up: int
    fcnt_down: int
    counter: int | None
    mac: bytes
    id: int


def device(connection: sqlite3.Connection, dev_eui: str) -> DeviceRow | None:
    row = connection.execute(f"SELECT {_DEVICE} FROM device WHERE dev_eui = ?", (dev_eui,)).fetchone()  # noqa: S608
    return DeviceRow(*row) if row else None


def slots(connection: sqlite3.Connection) -> Iterator[tuple[str, bytes]]:
    """(DevEUI, slot) of every device that has one."""
    return iter(connection.execute("SELECT dev_eui, slot FROM device WHERE slot IS NOT NULL"))


def staged_devices(connection: sqlite3.Connection) -> list[str]:
    """Whom the staged revision names."""
    return [dev_eui for (dev_eui,) in connection.execute("SELECT dev_eui FROM staged")]


def count_devices(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT count(*) FROM device").fetchone()[0]
    return count


def clear_stage(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM staged")


def stage(connection: sqlite3.Connection, rows: Iterable[StagedRow], removed: Iterable[str]) -> None:
    """Lay down one part of a revision. A device that is both removed and named anew stays."""
    places = ", ".join("?" * len(StagedRow._fields))
    connection.executemany(f"INSERT OR REPLACE INTO staged VALUES ({places})", rows)  # noqa: S608
    query = "INSERT OR IGNORE INTO staged (dev_eui, action) VALUES (?, 'remove')"
    connection.executemany(query, ((dev_eui,) for dev_eui in removed))


def planned(connection: sqlite3.Connection, *, whole: bool) -> list[tuple[str, str, str]]:
    """What `apply_stage` is going to change: (remove, add or change; DevEUI; keys or settings for a change)."""
    return list(connection.execute(_PLANNED, (whole,)))


def apply_stage(connection: sqlite3.Connection, *, whole: bool) -> None:
    """Make the device table what is staged; `whole`: devices that are not named leave it.

    Where keys are new, nonces and sessions of the old ones mean nothing any more; the join nonce goes on rising.
    """
    if whole:
        connection.execute("DELETE FROM device WHERE dev_eui NOT IN (SELECT dev_eui FROM staged)")
    connection.execute("DELETE FROM device WHERE dev_eui IN (SELECT dev_eui FROM staged WHERE action = 'remove')")
    for query in _APPLY:
        connection.execute(query)
    clear_stage(connection)


_PLANNED: Final = """
SELECT 'remove', d.dev_eui, '' FROM device d LEFT JOIN staged s USING (dev_eui)
WHERE s.action = 'remove' OR (s.dev_eui IS NULL AND ?)
UNION ALL
SELECT 'add', s.dev_eui, '' FROM staged s LEFT JOIN device d USING (dev_eui)
WHERE s.action = 'put' AND d.dev_eui IS NULL
UNION ALL
SELECT 'change', s.dev_eui, iif(s.same, 'settings', 'keys') FROM staged s JOIN device d USING (dev_eui)
WHERE s.action = 'put'
AND (NOT s.same OR (s.join_eui, s.lorawan, s.is_foreign, s.slot) IS NOT (d.join_eui, d.lorawan, d.is_foreign, d.slot))
"""
_NEW: Final = "(SELECT dev_eui FROM staged WHERE action = 'put' AND same = 0)"
_APPLY: Final = (
    "INSERT INTO device (dev_eui, join_eui, lorawan, is_foreign, root_key, transport_key, slot) "
    "SELECT dev_eui, join_eui, lorawan, is_foreign, root_key, transport_key, slot FROM staged WHERE action = 'put' "
    "ON CONFLICT (dev_eui) DO UPDATE SET join_eui = excluded.join_eui, lorawan = excluded.lorawan, "
    "is_foreign = excluded.is_foreign, root_key = excluded.root_key, transport_key = excluded.transport_key, "
    "slot = excluded.slot",
    f"UPDATE device SET last_dev_nonce = NULL WHERE dev_eui IN {_NEW}",  # noqa: S608
    f"DELETE FROM nonce WHERE dev_eui IN {_NEW}",  # noqa: S608
    f"DELETE FROM session WHERE dev_eui IN {_NEW}",  # noqa: S608
    "INSERT INTO session (dev_eui, dev_addr, epoch, pending, keys, mac) SELECT dev_eui, dev_addr, 0, 0, keys, mac "
    "FROM staged WHERE keys IS NOT NULL AND action = 'put' AND same = 0",
)


def nonce_used(connection: sqlite3.Connection, dev_eui: str, dev_nonce: int) -> bool:
    query = "SELECT 1 FROM nonce WHERE dev_eui = ? AND dev_nonce = ?"
    return connection.execute(query, (dev_eui, dev_nonce)).fetchone() is not None


def record_join(connection: sqlite3.Connection, dev_eui: str, dev_nonce: int, join_nonce: int, *, random: bool) -> None:
    connection.execute(
        "UPDATE device SET last_dev_nonce = ?, join_nonce = ?, joins = joins + 1 WHERE dev_eui = ?",
        (dev_nonce, join_nonce, dev_eui),
    )
    if random:
        connection.execute("INSERT INTO nonce VALUES (?, ?)", (dev_eui, dev_nonce))


def sessions_of(connection: sqlite3.Connection, dev_eui: str) -> list[SessionRow]:
    rows = connection.execute(f"SELECT {_SESSION} FROM session WHERE dev_eui = ?", (dev_eui,))  # noqa: S608
    return [SessionRow(*row) for row in rows]


def devices_with_address(connection: sqlite3.Connection, dev_addr: int, limit: int) -> list[str]:
    query = "SELECT DISTINCT dev_eui FROM session WHERE dev_addr = ? LIMIT ?"
    return [dev_eui for (dev_eui,) in connection.execute(query, (dev_addr, limit))]


def put_session(connection: sqlite3.Connection, row: SessionRow) -> None:
    """Insert, in the place of the device's other session of the same kind (pending or not)."""
    connection.execute("DELETE FROM session WHERE dev_eui = ? AND pending = ?", (row.dev_eui, row.pending))
    connection.execute("INSERT INTO session VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row[1:])


def activate_session(connection: sqlite3.Connection, session_id: int, dev_eui: str) -> None:
    """The device was heard under its new session: the old one ends."""
    connection.execute("DELETE FROM session WHERE dev_eui = ? AND id <> ?", (dev_eui, session_id))
    connection.execute("UPDATE session SET pending = 0 WHERE id = ?", (session_id,))


def save_progress(connection: sqlite3.Connection, progress: Iterable[Progress]) -> None:
    connection.executemany("UPDATE session SET fcnt_up = ?, fcnt_down = ?, counter = ?, mac = ? WHERE id = ?", progress)


def downlinks(connection: sqlite3.Connection) -> list[DownlinkRow]:
    return [DownlinkRow(*row) for row in connection.execute("SELECT * FROM downlink ORDER BY id")]


def put_downlink(connection: sqlite3.Connection, row: DownlinkRow) -> bool:
    """False when the command was taken before."""
    query = "INSERT OR IGNORE INTO downlink VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    return connection.execute(query, row).rowcount == 1


def set_downlink(connection: sqlite3.Connection, command: str, *, attempts: int, done: bool) -> None:
    connection.execute("UPDATE downlink SET attempts = ?, done = ? WHERE id = ?", (attempts, done, command))


def forget_downlinks(connection: sqlite3.Connection, expired_before: float) -> None:
    connection.execute("DELETE FROM downlink WHERE done = 1 AND expires_at < ?", (expired_before,))


def track(connection: sqlite3.Connection, dev_eui: str) -> bytes | None:
    row = connection.execute("SELECT state FROM track WHERE dev_eui = ?", (dev_eui,)).fetchone()
    return bytes(row[0]) if row else None


def put_track(connection: sqlite3.Connection, dev_eui: str, state: bytes) -> None:
    """Nothing for a device that was removed meanwhile."""
    connection.execute("INSERT OR REPLACE INTO track SELECT dev_eui, ? FROM device WHERE dev_eui = ?", (state, dev_eui))


def opened(connection: sqlite3.Connection, dev_eui: str) -> int:
    """The highest inner counter that was forwarded opened; -1 before the first."""
    row = connection.execute("SELECT counter FROM opened WHERE dev_eui = ?", (dev_eui,)).fetchone()
    return int(row[0]) if row else -1


def put_opened(connection: sqlite3.Connection, dev_eui: str, counter: int) -> None:
    connection.execute("INSERT OR REPLACE INTO opened VALUES (?, ?)", (dev_eui, counter))


def setting(connection: sqlite3.Connection, name: str) -> bytes | None:
    row = connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
    return bytes(row[0]) if row else None


def put_setting(connection: sqlite3.Connection, name: str, value: bytes) -> None:
    connection.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))


_DEVICE: Final = ", ".join(DeviceRow._fields)
_SESSION: Final = ", ".join(SessionRow._fields)
