"""The same slots on SQLite, where triggers have the last word: the tests of this folder once more, on a file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

HERE = Path(__file__).resolve().parent
FILES = (
    "test_exclusion.py",
    "test_assigning.py",
    "test_memory.py",
    "test_full.py",
    "test_queries.py",
    "test_neighbours.py",
)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="this run is on SQLite already")
def test_slots_work_on_a_file_of_sqlite(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["MSPAN_DATABASE_URL"] = f"sqlite:///{tmp_path / 'portal.sqlite3'}"
    environment["MSPAN_TEST_SQLITE"] = str(tmp_path / "test.sqlite3")
    files = [str(HERE / name) for name in FILES]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files]
    run = subprocess.run(command, cwd=HERE.parents[2], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:]
