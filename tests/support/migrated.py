"""Databases with the portal's empty tables: made once in a run, then copied, because migrating takes long."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.processes import Service, postgres

ROOT = Path(__file__).resolve().parents[2]


def migrated_postgres(options: Mapping[str, str] | None = None) -> Service:
    """As `postgres`, and every migration has run."""
    return postgres(options, copy_of=_template("postgres", _make_postgres))


def migrated_sqlite(path: Path) -> None:
    """Make the SQLite database `path`, with every migration."""
    shutil.copyfile(_template("sqlite3", _make_sqlite), path)


def _template(name: str, make: Callable[[Path], None]) -> Path:
    """What to copy; several workers share it, and one that comes early waits for the one who makes it."""
    path = Path(os.environ["MSPAN_TEST_FOLDER"]) / name
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            make(path)
    return path


def _make_postgres(data: Path) -> None:
    database = postgres()
    try:
        _migrate(f"postgres://mspan@127.0.0.1:{database.port}/mspan")
        assert database.process is not None
        database.process.send_signal(signal.SIGINT)  # it ends in good order: a copy of it starts without recovery
        assert database.process.wait(60) == 0
        (database.folder / "data").rename(data)
    finally:
        database.stop()


def _make_sqlite(path: Path) -> None:
    made = path.with_suffix(".made")
    _migrate(f"sqlite:///{made}")
    made.rename(path)


def _migrate(url: str) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "MSPAN_DATABASE_URL": url}, check=True, capture_output=True)
