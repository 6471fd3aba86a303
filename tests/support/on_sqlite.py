"""Runs tests once more on a file of SQLite, in a process of their own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.migrated import ROOT, migrated_sqlite


def run_on_sqlite(files: Sequence[Path], folder: Path) -> "subprocess.CompletedProcess[str]":
    """The run of `files`, with its database in `folder`; it ends with the first failure."""
    migrated_sqlite(folder / "test.sqlite3")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["MSPAN_DATABASE_URL"] = f"sqlite:///{folder / 'portal.sqlite3'}"
    environment["MSPAN_TEST_SQLITE"] = str(folder / "test.sqlite3")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--reuse-db", "-p", "no:cacheprovider", *map(str, files)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
