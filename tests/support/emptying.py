"""Empties the tables after a test that commits, row by row: TRUNCATE makes hundreds of new files for a dozen rows."""

from typing import Any

from django.db import connection

KEPT = {"django_content_type", "auth_permission"}  # what the migrations leave in the tables


def delete_instead_of_truncate() -> None:
    """For the database of the tests, where its user may leave triggers out."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('is_superuser')")
        if cursor.fetchone() != ("on",):
            return
    truncating = connection.ops.sql_flush

    def sql_flush(style: Any, tables: list[str], *, reset_sequences: bool = False, **options: Any) -> list[str]:
        if reset_sequences:
            return list(truncating(style, tables, reset_sequences=True, **options))
        names = [connection.ops.quote_name(table) for table in tables if table not in KEPT]
        return ["SET LOCAL session_replication_role = replica", *(f"DELETE FROM {name}" for name in names)]

    connection.ops.sql_flush = sql_flush  # type: ignore[method-assign]
