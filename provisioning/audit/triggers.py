"""Database triggers that refuse to change or delete audit entries, per vendor."""

from django.db.backends.base.base import BaseDatabaseWrapper

REFUSAL = "audit entries are append-only"

_CREATE = {
    "postgresql": [
        f"""CREATE OR REPLACE FUNCTION audit_entry_refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$""",
        """CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE ON audit_entry
            FOR EACH ROW EXECUTE FUNCTION audit_entry_refuse()""",
    ],
    "sqlite": [
        f"""CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry
            BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
        f"""CREATE TRIGGER audit_entry_no_delete BEFORE DELETE ON audit_entry
            BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
    ],
}
_DROP = {
    "postgresql": [
        "DROP TRIGGER IF EXISTS audit_entry_append_only ON audit_entry",
        "DROP FUNCTION IF EXISTS audit_entry_refuse()",
    ],
    "sqlite": ["DROP TRIGGER IF EXISTS audit_entry_no_update", "DROP TRIGGER IF EXISTS audit_entry_no_delete"],
}


def create(connection: BaseDatabaseWrapper) -> None:
    """Install the triggers; a vendor without them raises KeyError, because history would be unguarded there."""
    _run(connection, _CREATE[connection.vendor])


def drop(connection: BaseDatabaseWrapper) -> None:
    """Remove the triggers; only for undoing the migration and for emptying a test database."""
    _run(connection, _DROP[connection.vendor])


def _run(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
