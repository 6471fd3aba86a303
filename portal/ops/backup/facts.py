"""What a backup tells about itself: version of the schema, rows, which secrets it needs, settings that matter."""

from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from portal.ops.backup.errors import BackupError
from provisioning.accounts import tokens
from provisioning.audit import chain
from provisioning.keys.models import DataKey

FORM = 1


def facts(counts: dict[str, int]) -> dict[str, Any]:
    """The manifest without its members."""
    return {
        "form": FORM,
        "made_at": timezone.now().isoformat(timespec="seconds"),
        "database": connection.vendor,
        "migrations": sorted("/".join(one) for one in MigrationRecorder(connection).applied_migrations()),
        "counts": counts,
        "keks": sorted(set(DataKey.objects.values_list("kek_id", flat=True))),
        "settings": {
            "audit_key": chain.key_name(),
            "token_peppers": sorted(tokens.peppers()),
            "label_profile": settings.LABEL_PROFILE,
            "time_zone": settings.TIME_ZONE,
            "retention_days": dict(settings.RETENTION_DAYS),
        },
    }


def tables() -> list[str]:
    """The tables of all models, those without one of their own left out."""
    models = apps.get_models(include_auto_created=True)
    return sorted({model._meta.db_table for model in models if model._meta.managed and not model._meta.proxy})


def counted() -> dict[str, int]:
    """How many rows each table has."""
    found = {}
    with connection.cursor() as cursor:
        for table in tables():
            cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608  # our own tables
            found[table] = int(cursor.fetchone()[0])
    return found


def fits(found: dict[str, Any]) -> None:
    """BackupError unless this installation's program can take over what the manifest describes."""
    if found.get("form") != FORM:
        raise BackupError("This backup was made by a newer version; install that version, then restore it.")
    if found["database"] != connection.vendor:
        raise BackupError(
            f"This is a backup of another kind of database ({found['database']}), this one is {connection.vendor};"
            " point MSPAN_DATABASE_URL at a database of the same kind."
        )
    theirs = set(found["migrations"])
    ours = {"/".join(one) for one in MigrationLoader(None).disk_migrations}
    if newer := sorted(theirs - ours):
        raise BackupError(
            f"This backup was made by a newer version ({newer[0]} is not known here); install that version first."
        )
    if missing := sorted(ours - theirs):
        raise BackupError(
            f"This backup was made by an older version (without {missing[0]});"
            " restore it with that version, then update and run manage.py migrate."
        )


def differing_settings(found: dict[str, Any]) -> list[str]:
    """Settings that are not what they were when the backup was made, such as a replaced audit key."""
    now = facts({})["settings"]
    return sorted(name for name, value in found["settings"].items() if now.get(name) != value)
