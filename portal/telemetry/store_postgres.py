"""Writes a batch to PostgreSQL by binary COPY; what may be there already goes through a temporary table."""

from struct import Struct
from typing import Any, cast

import msgspec
from django.db import connection

from portal.telemetry import status_sql
from portal.telemetry.arrivals import AdapterRecord, Arrival, Batch
from portal.telemetry.fields import ulid_bytes
from portal.telemetry.models import TimeQuality
from portal.telemetry.store import Lookup
from portal.telemetry.store_notes import write_notes

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_EPOCH_US = 946_684_800_000_000  # 2000-01-01, from which PostgreSQL counts
_QUALITY = {str(choice.label): choice.value for choice in TimeQuality}
_rx = msgspec.json.Encoder()

_TELEGRAM = """COPY telemetry_telegram (id, organisation_id, concentrator_id, received_at, stored_at, fcnt, epoch,
    freq, rssi, snr, fport, dr, time_quality, sealed, dev_eui, adapter_id, counter, key_slot, error, payload, rx,
    key_id) FROM STDIN (FORMAT BINARY)"""
# 22 fields: uuid, int8 x 6, int4, float8 x 2, int2 x 3, bool, text; the rest may be null or varies in length.
_telegram = Struct(">hi16siqiqiqiqiqiqiiididihihihi?i16s").pack
_adapter_counter_slot = Struct(">iqiqihi").pack
_int8, _int2, _int4 = Struct(">iq").pack, Struct(">ih").pack, Struct(">i").pack
_NULL = b"\xff\xff\xff\xff"

_READING = """COPY telemetry_reading (adapter_id, counter, measured_at, register, value, metering_point_id)
    FROM STDIN (FORMAT BINARY)"""
_reading = Struct(">hiqiqiqihiqiq").pack
_reading_start = Struct(">hiqiqiqih").pack

_STATUS_TABLE = """CREATE TEMPORARY TABLE IF NOT EXISTS status_change (
    adapter_id bigint, organisation_id bigint, concentrator_id bigint, seen timestamptz, low bigint, high bigint,
    epoch bigint, fcnt bigint, rssi double precision, snr double precision, dr smallint, telegrams bigint,
    received bigint, refused bigint, error varchar(40), error_at timestamptz, period_s double precision,
    due_at timestamptz
    ) ON COMMIT DELETE ROWS"""
_STATUS = f"COPY status_change ({', '.join(status_sql.COLUMNS)}) FROM STDIN (FORMAT BINARY)"
# In the order of adapters, so that two bridges cannot block each other.
_UPSERT = status_sql.upsert(
    "(SELECT * FROM status_change ORDER BY adapter_id) AS change", "'2000-01-01 00:00:00+00'::timestamptz"
)
_status = Struct(">hiqiqiqiqiqiqiqiqididihiqiqiq").pack
_status_key, _status_counts = Struct(">hiqiq").pack, Struct(">iqiqiq").pack
_status_well, _status_end = Struct(">iiqidiq").pack, Struct(">iqidiq").pack

_LATE_TABLE = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS late_change (start timestamptz, adapter_id bigint) ON COMMIT DELETE ROWS"
)
_LATE = "COPY late_change (start, adapter_id) FROM STDIN (FORMAT BINARY)"
_INSERT_LATE = """INSERT INTO telemetry_latehour (start, adapter_id)
    SELECT start, adapter_id FROM late_change ORDER BY start, adapter_id ON CONFLICT DO NOTHING"""
_late = Struct(">hiqiq").pack


class PostgresStore(Lookup):
    """One per thread and connection."""

    def write(self, batch: Batch) -> None:
        new = [arrival for arrival in batch.arrivals if not arrival.known]
        if not new:
            return
        stored_at = batch.now_us - _EPOCH_US
        _copy(_TELEGRAM, [_telegram_row(arrival, stored_at) for arrival in new])
        _copy(_READING, _reading_rows(new))
        if batch.touched:
            states = [_status_row(adapter) for adapter in batch.touched]
            _merge(_STATUS_TABLE, _STATUS, states, _UPSERT, "DELETE FROM status_change")
        if batch.late:
            hours = [_late(2, 8, start - _EPOCH_US, 8, adapter) for start, adapter in batch.late]
            _merge(_LATE_TABLE, _LATE, hours, _INSERT_LATE, "DELETE FROM late_change")
        write_notes(batch)


def _copy(statement: str, rows: list[bytes]) -> None:
    if not rows:
        return
    with connection.cursor() as cursor, connection.wrap_database_errors, cast(Any, cursor).copy(statement) as copy:
        copy.write(_HEADER + b"".join(rows) + _TRAILER)


def _merge(table: str, copy: str, rows: list[bytes], statement: str, empty: str) -> None:
    """Through a temporary table, which the commit empties only when it is the outermost transaction's."""
    with connection.cursor() as cursor:
        cursor.execute(table)
        _copy(copy, rows)
        cursor.execute(statement)
        cursor.execute(empty)


def _telegram_row(arrival: Arrival, stored_at: int) -> bytes:
    telegram, source, adapter = arrival.telegram, arrival.source, arrival.adapter
    best, rx, payload = telegram.rx[0], _rx.encode(telegram.rx), arrival.stored
    head = _telegram(
        22, 16, ulid_bytes(telegram.id), 8, source.organisation, 8, source.pk,
        8, arrival.received_us - _EPOCH_US, 8, stored_at, 8, telegram.fcnt, 8, telegram.epoch,
        4, telegram.freq, 8, best.rssi, 8, best.snr, 2, telegram.fport, 2, telegram.dr,
        2, _QUALITY[telegram.time_quality], 1, arrival.sealed, 16, telegram.dev_eui.encode(),
    )  # fmt: skip
    if arrival.error is None and arrival.counter is not None and adapter is not None and arrival.slot is not None:
        middle = _adapter_counter_slot(8, adapter.pk, 8, arrival.counter, 2, arrival.slot, -1)
    else:
        middle = b"".join(
            (
                _NULL if adapter is None else _int8(8, adapter.pk),
                _NULL if arrival.counter is None else _int8(8, arrival.counter),
                _NULL if arrival.slot is None else _int2(2, arrival.slot),
                _NULL if arrival.error is None else _text(arrival.error),
            )
        )
    key = _NULL if arrival.key is None else _int8(8, arrival.key)
    return b"%b%b%b%b%b\1%b%b" % (head, middle, _int4(len(payload)), payload, _int4(len(rx) + 1), rx, key)


def _reading_rows(arrivals: list[Arrival]) -> list[bytes]:
    rows = []
    for arrival in arrivals:
        readings, adapter, counter = arrival.readings, arrival.adapter, arrival.counter
        if readings is None or arrival.error is not None or adapter is None or counter is None:
            continue
        pk = adapter.pk
        for register, value, measured, point in readings:
            measured -= _EPOCH_US  # noqa: PLW2901
            if value is not None and point is not None:
                rows.append(_reading(6, 8, pk, 8, counter, 8, measured, 2, register, 8, value, 8, point))
            else:
                start = _reading_start(6, 8, pk, 8, counter, 8, measured, 2, register)
                end = _NULL if point is None else _int8(8, point)
                rows.append(start + (_NULL if value is None else _int8(8, value)) + end)
    return rows


def _status_row(adapter: AdapterRecord) -> bytes:
    latest, error = adapter.latest, adapter.error or ""
    if latest is None:
        head = b"".join((
            _status_key(18, 8, adapter.pk, 8, adapter.organisation), _NULL, _NULL, _int8(8, -1), _int8(8, -1),
            _int8(8, adapter.epoch), _int8(8, -1), _NULL, _NULL, _int2(2, -1),
            _status_counts(8, 0, 8, 0, 8, adapter.refused),
        ))  # fmt: skip
    else:
        telegram = latest.telegram
        best = telegram.rx[0]
        head = _status(
            18, 8, adapter.pk, 8, adapter.organisation, 8, latest.source.pk, 8, latest.received_us - _EPOCH_US,
            8, adapter.low, 8, adapter.high, 8, telegram.epoch, 8, telegram.fcnt, 8, best.rssi, 8, best.snr,
            2, telegram.dr, 8, adapter.telegrams, 8, adapter.received, 8, adapter.refused,
        )  # fmt: skip
    period, due = adapter.new_period_s or 0.0, 0 if latest is None else adapter.due_us - _EPOCH_US
    if not error:
        return head + _status_well(0, 8, 0, 8, period, 8, due)
    return head + _text(error) + _status_end(8, adapter.error_us - _EPOCH_US, 8, period, 8, due)


def _text(text: str) -> bytes:
    raw = text.encode()
    return _int4(len(raw)) + raw
