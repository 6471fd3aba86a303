"""Writes changed fields of a row and tells what changed, for the audit."""

from typing import Any

from django.db.models import Model


def apply(row: Model, **values: Any) -> dict[str, Any]:
    """Set `values` on `row`, save what differs from the database, and return {field: [before, after]} as texts."""
    row.refresh_from_db(fields=list(values))
    changed = {}
    for name, value in values.items():
        before = getattr(row, name)
        if before != value:
            changed[name] = [None if before is None else str(before), None if value is None else str(value)]
            setattr(row, name, value)
    if changed:
        row.save(update_fields=list(changed))
    return changed
