"""Deletes what has been kept long enough, in pieces, so that nobody waits behind it.

A telegram in which values rest sealed is kept as long as readings are: it is where their values are. Hourly figures of
slots are kept for two weeks (portal.telemetry.slots.KEPT), the days that they were added to for longer.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from meterwire.messages import ulid
from portal.telemetry import slots
from portal.telemetry.fields import ulid_bytes
from portal.telemetry.models import AdapterEvent, DayRollup, HourRollup, Reading, SlotDay, Telegram

PIECE = 20_000  # rows in one statement
MAX_PIECES = 500  # of one kind in one run; the next night goes on

_KINDS = {
    "telegrams": (Telegram, "stored_at"),
    "readings": (Reading, "measured_at"),
    "sealed": (Telegram, "stored_at"),
    "events": (AdapterEvent, "stored_at"),
    "hours": (HourRollup, "start"),
    "days": (DayRollup, "start"),
    "slots": (SlotDay, "day"),
    "slot_events": (AdapterEvent, "stored_at"),
}


def apply(now: datetime, days: Mapping[str, int] | None = None) -> dict[str, int]:
    """Delete by RETENTION_DAYS (0: keep for ever); returns the number of deleted rows by kind."""
    wanted = settings.RETENTION_DAYS if days is None else days
    deleted = {kind: _delete(kind, now - timedelta(days=age)) for kind, age in wanted.items() if age > 0}
    if (age := _age_of_sealed(wanted)) > 0:
        deleted["telegrams"] += _delete("sealed", now - timedelta(days=age))
    if "slots" in wanted:
        deleted["slot_events"] = _delete("slot_events", now - slots.KEPT)
    return deleted


def _age_of_sealed(days: Mapping[str, int]) -> int:
    ages = days.get("telegrams", 0), days.get("readings", 0)
    return max(ages) if all(ages) else 0


def _delete(kind: str, before: datetime) -> int:
    model, column = _KINDS[kind]
    table, row = model._meta.db_table, "ctid" if connection.vendor == "postgresql" else "rowid"
    condition, parameters = f"{column} < %s", [connection.ops.adapt_datetimefield_value(before)]
    if model in (Telegram, AdapterEvent):
        # Their ids are in the order of time and indexed; but a wrong clock may have made them, so both must be old.
        condition, parameters = f"id < %s AND {condition}", [_first_id(before), *parameters]
    if model is Telegram:
        condition += f" AND key_id IS {'NOT NULL' if kind == 'sealed' else 'NULL'}"
    if kind == "slot_events":
        condition += f" AND kind = '{slots.KIND}'"
    piece = f"DELETE FROM {table} WHERE {row} IN (SELECT {row} FROM {table} WHERE {condition} LIMIT {PIECE})"  # noqa: S608
    deleted = 0
    with connection.cursor() as cursor:
        for _ in range(MAX_PIECES):
            cursor.execute(piece, parameters)
            deleted += cursor.rowcount
            if cursor.rowcount < PIECE:
                break
    return deleted


def _first_id(moment: datetime) -> str:
    return ulid_bytes(ulid(moment.timestamp(), bytes(10))).hex()
