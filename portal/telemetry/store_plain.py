"""Writes a batch with executemany: the path for SQLite, where it is twice as quick as the ORM."""

import uuid
from typing import Any

import msgspec
from django.db import connection

from portal.telemetry import status_sql
from portal.telemetry.arrivals import AdapterRecord, Arrival, Batch, moment
from portal.telemetry.fields import ulid_bytes
from portal.telemetry.models import TimeQuality
from portal.telemetry.store import Lookup
from portal.telemetry.store_notes import write_notes

_QUALITY = {str(choice.label): choice.value for choice in TimeQuality}

_TELEGRAM = """INSERT INTO telemetry_telegram (id, organisation_id, concentrator_id, received_at, stored_at, fcnt,
    epoch, freq, rssi, snr, fport, dr, time_quality, sealed, dev_eui, adapter_id, counter, key_slot, error, payload, rx,
    key_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
_READING = """INSERT INTO telemetry_reading (adapter_id, counter, measured_at, register, value, metering_point_id)
    VALUES (%s, %s, %s, %s, %s, %s)"""
_LATE = "INSERT INTO telemetry_latehour (start, adapter_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_UPSERT = status_sql.upsert(f"(SELECT {', '.join(f'%s AS {name}' for name in status_sql.COLUMNS)}) WHERE true")


class PlainStore(Lookup):
    """One per thread and connection."""

    def write(self, batch: Batch) -> None:
        new = [arrival for arrival in batch.arrivals if not arrival.known]
        if not new:
            return
        stored_at = _moment(batch.now_us)
        with connection.cursor() as cursor:
            cursor.executemany(_TELEGRAM, [_telegram_row(arrival, stored_at) for arrival in new])
            cursor.executemany(_READING, [row for arrival in new for row in _reading_rows(arrival)])
            cursor.executemany(_UPSERT, [_status_row(adapter) for adapter in batch.touched])
            cursor.executemany(_LATE, [(_moment(start), adapter) for start, adapter in batch.late])
        write_notes(batch)


def _telegram_row(arrival: Arrival, stored_at: Any) -> tuple[Any, ...]:
    telegram, source, adapter = arrival.telegram, arrival.source, arrival.adapter
    best = telegram.rx[0]
    return (
        uuid.UUID(bytes=ulid_bytes(telegram.id)).hex, source.organisation, source.pk, _moment(arrival.received_us),
        stored_at, telegram.fcnt, telegram.epoch, telegram.freq, best.rssi, best.snr, telegram.fport, telegram.dr,
        _QUALITY[telegram.time_quality], arrival.sealed, telegram.dev_eui[:16],
        None if adapter is None else adapter.pk, arrival.counter, arrival.slot, arrival.error, arrival.stored,
        msgspec.json.encode(telegram.rx).decode(), arrival.key,
    )  # fmt: skip


def _reading_rows(arrival: Arrival) -> list[tuple[Any, ...]]:
    adapter = arrival.adapter
    if arrival.readings is None or arrival.error is not None or adapter is None:
        return []
    return [
        (adapter.pk, arrival.counter, _moment(measured), register, value, point)
        for register, value, measured, point in arrival.readings
    ]


def _status_row(adapter: AdapterRecord) -> tuple[Any, ...]:
    latest = adapter.latest
    telegram = None if latest is None else latest.telegram
    best = None if telegram is None else telegram.rx[0]
    return (
        adapter.pk, adapter.organisation, None if latest is None else latest.source.pk,
        None if latest is None else _moment(latest.received_us), adapter.low, adapter.high,
        adapter.epoch if telegram is None else telegram.epoch, -1 if telegram is None else telegram.fcnt,
        None if best is None else best.rssi, None if best is None else best.snr,
        -1 if telegram is None else telegram.dr, adapter.telegrams, adapter.received, adapter.refused,
        adapter.error or "", _moment(adapter.error_us) if adapter.error else None, adapter.new_period_s or 0.0,
        None if latest is None else _moment(adapter.due_us),
    )  # fmt: skip


def _moment(us: int) -> Any:
    return connection.ops.adapt_datetimefield_value(moment(us))
