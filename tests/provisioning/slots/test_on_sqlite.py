"""The same slots on SQLite, where triggers have the last word: the tests of this folder once more, on a file."""

from pathlib import Path

import pytest
from django.db import connection

from tests.support.on_sqlite import run_on_sqlite

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
    run = run_on_sqlite([HERE / name for name in FILES], tmp_path)
    assert run.returncode == 0, run.stdout[-3000:]
