"""A PostgreSQL cluster with the portal's empty tables: made once in a run, then copied, as migrating takes long."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import Service, postgres

ROOT = Path(__file__).resolve().parents[2]


def migrated_postgres(options: Mapping[str, str] | None = None) -> Service:
    """As `postgres`, and every migration has run."""
    return postgres(options, copy_of=_template())


def _template() -> Path:
    """The data folder to copy; several workers share it, and one that comes early waits for the one who makes it."""
    shared = Path(os.environ["MSPAN_TEST_FOLDER"])
    data = shared / "postgres"
    with (shared / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not data.exists():
            _make(data)
    return data


def _make(data: Path) -> None:
    database = postgres()
    try:
        environment = {**os.environ, "MSPAN_DATABASE_URL": f"postgres://mspan@127.0.0.1:{database.port}/mspan"}
        migrate = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True, capture_output=True)
        assert database.process is not None
        database.process.send_signal(signal.SIGINT)  # it ends in good order: a copy of it starts without recovery
        assert database.process.wait(60) == 0
        (database.folder / "data").rename(data)
    finally:
        database.stop()
