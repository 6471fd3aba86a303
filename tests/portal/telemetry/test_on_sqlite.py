"""The same telemetry on SQLite, where the demo lives: the tests of this folder once more, in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

HERE = Path(__file__).resolve().parent
FILES = (
    "test_pipeline.py", "test_reports.py", "test_quarantine.py", "test_commissioning.py", "test_rollups.py",
    "test_silence.py", "test_retention.py", "test_sealed.py", "test_sealed_resealing.py", "test_recovery.py",
    "test_slots.py", "test_slot_queries.py",
)  # fmt: skip


@pytest.mark.skipif(connection.vendor == "sqlite", reason="this run is on SQLite already")
def test_telemetry_works_on_sqlite(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["MSPAN_DATABASE_URL"] = f"sqlite:///{tmp_path / 'portal.sqlite3'}"
    files = [str(HERE / name) for name in FILES]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files]
    run = subprocess.run(command, cwd=HERE.parents[2], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:]
