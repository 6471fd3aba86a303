"""What the tests of the shared edge parts have in common."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.clock import ManualClock
from edge.database import Database
from edge.outbox import SCHEMA


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "store.db", [SCHEMA])
    database.open()
    yield database
    database.close()
