"""The database's last word on slots: two that meet are refused, by exclusion (PostgreSQL) or by triggers (SQLite)."""

from django.db.backends.base.base import BaseDatabaseWrapper

from provisioning.slots.lattice import SIZES

REFUSAL = "this slot is taken"

_FIRSTS = ", ".join(f"NEW.first - NEW.first % {size}" for size in SIZES)
# What meets a rectangle is an ancestor of its minutes, whose first one is known, or lies within them.
_WATCH = f"""BEGIN SELECT RAISE(ABORT, '{REFUSAL}') WHERE NOT NEW.shared AND EXISTS (
    SELECT 1 FROM slots_occupancy o
    WHERE (o.first IN ({_FIRSTS}) OR (o.first >= NEW.first AND o.first < NEW.last))
        AND o.first < NEW.last AND NEW.first < o.last AND o."begin" < NEW."end" AND NEW."begin" < o."end"
        AND NOT o.shared AND (o.served OR NEW.served) AND o.id <> NEW.id); END"""  # noqa: S608 (numbers of our own)
# Two that only hear differ in the third range; whoever is served has all of it.
_WHO = "(CASE WHEN served THEN int8range(NULL, NULL) ELSE int8range(assignment_id, assignment_id + 1) END)"

_CREATE = {
    "postgresql": [
        f"""ALTER TABLE slots_occupancy ADD CONSTRAINT slot_taken EXCLUDE USING gist
            (int8range(first, last) WITH &&, int4range("begin", "end") WITH &&, {_WHO} WITH &&) WHERE (NOT shared)"""
    ],
    "sqlite": [
        f"CREATE TRIGGER slot_taken_insert AFTER INSERT ON slots_occupancy {_WATCH}",
        f"CREATE TRIGGER slot_taken_update AFTER UPDATE ON slots_occupancy {_WATCH}",
    ],
}
_DROP = {
    "postgresql": ["ALTER TABLE slots_occupancy DROP CONSTRAINT IF EXISTS slot_taken"],
    "sqlite": ["DROP TRIGGER IF EXISTS slot_taken_insert", "DROP TRIGGER IF EXISTS slot_taken_update"],
}


def create(connection: BaseDatabaseWrapper) -> None:
    """Install the watch; an engine for which there is none raises KeyError, because slots would be unguarded there."""
    _run(connection, _CREATE[connection.vendor])


def drop(connection: BaseDatabaseWrapper) -> None:
    """Remove it; only for undoing the migration."""
    _run(connection, _DROP[connection.vendor])


def _run(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
