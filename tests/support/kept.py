"""What services made once, put back for each test that wants it: the same rows, without the work of making them.

A stage of two hundred rows takes a thousand statements to make, and most tests do not care how it was made.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

T = TypeVar("T")
FRESH = timedelta(seconds=60)  # what is older is made anew: a stage that was just built must not look abandoned
FURNITURE = {"django_content_type", "auth_permission"}  # what the migrations leave in the tables
SEALED_BY = ("SECRET_KEY", "AUDIT_KEY_FILE", "TOKEN_PEPPERS_FILE", "KEK_FILE", "KEK_PROVIDER", "PKCS11")
_kept: dict[str, "Kept"] = {}


@dataclass(frozen=True)
class Kept:
    """Rows as statements, and the pickled object that speaks of them; `sealed_by` are the keys they were made with."""

    since: datetime
    sealed_by: tuple[str, ...]
    rows: list[str]
    thing: bytes

    def fits(self) -> bool:
        return timedelta(0) <= timezone.now() - self.since < FRESH and self.sealed_by == _sealed_by()


def kept(name: str, make: Callable[[], T]) -> T:
    """What `make` returns, together with its rows; `name` is that of the stage.

    It is made when there is none yet, when that is too old, or when other keys are set. It is not kept where the
    database was not empty, as other rows may have been changed. Its ids are the same each time: what a process
    remembers under an id has to be forgotten between tests.
    """
    known = _kept.get(name)
    if known is not None and known.fits():
        with transaction.atomic(), connection.cursor() as cursor:
            for statement in known.rows:
                cursor.execute(statement)
        return pickle.loads(known.thing)  # type: ignore[no-any-return]
    before, since = _filled(), timezone.now()
    thing = make()
    if not before - FURNITURE:
        _kept[name] = Kept(since, _sealed_by(), _statements(_filled() - FURNITURE), pickle.dumps(thing))
    return thing


def _sealed_by() -> tuple[str, ...]:
    return tuple(str(getattr(settings, name)) for name in SEALED_BY)


def _filled() -> set[str]:
    """The tables that have rows."""
    tables = connection.introspection.django_table_names(only_existing=False)
    query = " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(query)
        return {table for (table,) in cursor.fetchall()}


def _statements(tables: set[str]) -> list[str]:
    """Inserts of all rows. On PostgreSQL they go past triggers and checks, which had their say when they were made."""
    with connection.cursor() as cursor:
        inserts = [_insert(cursor, table) for table in sorted(tables)]
    if connection.vendor == "sqlite":
        return inserts
    as_made = "SET LOCAL session_replication_role ="
    return ["; ".join([f"{as_made} replica", *inserts, f"{as_made} origin"])]


def _insert(cursor: Any, table: str) -> str:
    columns = [f'"{column.name}"' for column in connection.introspection.get_table_description(cursor, table)]
    quoted = "quote({})" if connection.vendor == "sqlite" else "quote_nullable({}::text)"
    literals = " || ', ' || ".join(quoted.format(column) for column in columns)
    cursor.execute(f"SELECT {literals} FROM {table}")
    rows = ", ".join(f"({row})" for (row,) in cursor.fetchall())
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {rows}"
