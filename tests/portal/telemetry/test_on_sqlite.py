"""The same telemetry on SQLite, where the demo lives: the tests of this folder once more, in a process of their own."""

from pathlib import Path

import pytest
from django.db import connection

from tests.support.on_sqlite import run_on_sqlite

HERE = Path(__file__).resolve().parent
FILES = (
    "test_pipeline.py", "test_reports.py", "test_quarantine.py", "test_commissioning.py", "test_rollups.py",
    "test_silence.py", "test_retention.py", "test_sealed.py", "test_sealed_resealing.py", "test_recovery.py",
    "test_slots.py", "test_slot_queries.py",
)  # fmt: skip


@pytest.mark.skipif(connection.vendor == "sqlite", reason="this run is on SQLite already")
def test_telemetry_works_on_sqlite(tmp_path: Path) -> None:
    run = run_on_sqlite([HERE / name for name in FILES], tmp_path)
    assert run.returncode == 0, run.stdout[-3000:]
