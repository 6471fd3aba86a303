"""Fixtures of the provisioning tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from provisioning.audit import triggers
from tests.cast import Cast, cast

__all__ = ["cast"]


@pytest.fixture
def transactional_cast(transactional_db: None) -> Iterator[Cast]:
    """The cast in a test whose commits are real. On SQLite the triggers would refuse the emptying afterwards."""
    yield Cast.assemble()
    if connection.vendor == "sqlite":
        triggers.drop(connection)


@pytest.fixture(autouse=True)
def guarded(request: pytest.FixtureRequest) -> None:
    """Put back the triggers that an earlier transactional test on SQLite took away."""
    if connection.vendor == "sqlite" and {"db", "transactional_db"} & set(request.fixturenames):
        request.getfixturevalue("db")
        triggers.drop(connection)
        triggers.create(connection)


@pytest.fixture
def vacant(tmp_path: Path) -> Path:
    """A path where nothing is yet."""
    return tmp_path / "vacant"


@pytest.fixture(autouse=True)
def photo_store(settings: Any, tmp_path: Path) -> None:
    """Photos of a test end with it."""
    settings.MEDIA_ROOT = tmp_path / "media"
