"""`concentrator-agent audit`: prints the trail, or checks it, also while the agent runs."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from concentrator_agent import audit
from concentrator_agent.config import Config
from edge import sealedfile
from edge.database import StorageUnusable
from meterwire.errors import ValueOutOfRange
from meterwire.messages import timestamp


def show(config: Config, since: str | None, *, as_json: bool) -> int:
    """Print the rows, oldest first. Raises MeterspanError; the exit code."""
    start = 0.0 if since is None else _moment(since)
    with closing(_open(config)) as connection:
        for row in audit.rows(connection, start):
            print(_json(row) if as_json else _line(row))
    return 0


def verify(config: Config, *, as_json: bool) -> int:
    """Print what checking gave; 1 when the chain is broken. Keep the head's hash elsewhere to notice a cut-off end."""
    credential = sealedfile.load_credential(config.credential_file)
    with closing(_open(config)) as connection:
        found = audit.verify(connection, credential)
    if as_json:
        print(json.dumps(found._asdict()))
    elif found.fault is None:
        print(f"{found.entries} rows, whole; head {found.head} {found.hash}")
    else:
        print(f"broken: {found.fault}")
    return 0 if found.fault is None else 1


def _open(config: Config) -> sqlite3.Connection:
    path = config.concentrator.state_dir / "concentrator.db"
    try:
        # Not mode=ro: a file in WAL mode that nobody has open cannot be read then.
        connection = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT 1 FROM audit LIMIT 1")
    except sqlite3.Error as error:
        raise StorageUnusable(f"{path} has no audit trail that can be read ({error}): run the agent once") from None
    return connection


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueOutOfRange(f"--since takes a day or a time, 2026-11-27 or 2026-11-27T08:00Z, not '{text}'") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _json(row: audit.Row) -> str:
    shown = row._asdict() | {"at": timestamp(row.at), "hash": row.hash.hex()}
    return json.dumps({name: value for name, value in shown.items() if value not in (None, "")})


def _line(row: audit.Row) -> str:
    revision = "" if row.revision is None else f"revision {row.revision}"
    parts = (timestamp(row.at), row.who, row.what, row.dev_eui, revision, row.command, row.result, row.detail)
    return " ".join(filter(None, parts))
