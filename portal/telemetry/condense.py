"""One statement that condenses a stretch of time: readings into an hour, hours into a day. Same for every engine."""

from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import islice

from django.db import connection

CHUNK = 500  # adapters in one statement

# First and last go by time and, within the same moment, by counter.
_STATEMENT = """
INSERT INTO {target} (adapter_id, register, start, metering_point_id, first_at, last_at, first_value, last_value,
    min_value, max_value, mean, count)
SELECT adapter_id, register, %s, MAX(point), MIN(begins), MAX(ends), MIN(opening), MIN(closing), MIN(least), MAX(most),
    SUM(weighted) / SUM(amount), SUM(amount)
FROM (
    SELECT adapter_id, register, {columns}, FIRST_VALUE({first}) OVER stretch AS opening,
        LAST_VALUE({last}) OVER stretch AS closing, LAST_VALUE(metering_point_id) OVER stretch AS point
    FROM {source} WHERE {time} >= %s AND {time} < %s AND {first} IS NOT NULL {narrowed}
    WINDOW stretch AS (PARTITION BY adapter_id, register ORDER BY {order}
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
) AS condensed
GROUP BY adapter_id, register
ON CONFLICT (adapter_id, register, start) DO UPDATE SET
    metering_point_id = EXCLUDED.metering_point_id, first_at = EXCLUDED.first_at, last_at = EXCLUDED.last_at,
    first_value = EXCLUDED.first_value, last_value = EXCLUDED.last_value, min_value = EXCLUDED.min_value,
    max_value = EXCLUDED.max_value, mean = EXCLUDED.mean, count = EXCLUDED.count
"""
_HOUR = {
    "target": "telemetry_hourrollup",
    "source": "telemetry_reading",
    "columns": "measured_at AS begins, measured_at AS ends, value AS least, value AS most,"
    " CAST(value AS double precision) AS weighted, 1 AS amount",
    "first": "value",
    "last": "value",
    "time": "measured_at",
    "order": "measured_at, counter",
}
_DAY = {
    "target": "telemetry_dayrollup",
    "source": "telemetry_hourrollup",
    "columns": "first_at AS begins, last_at AS ends, min_value AS least, max_value AS most,"
    " mean * count AS weighted, count AS amount",
    "first": "first_value",
    "last": "last_value",
    "time": "start",
    "order": "start",
}


def condense_hour(start: datetime, end: datetime, adapters: Collection[int] | None = None) -> None:
    """(Re)make HourRollup of readings measured from `start` to before `end`; of these adapters only, or of all."""
    _condense(_HOUR, start, end, adapters)


def condense_day(start: datetime, end: datetime, adapters: Collection[int] | None = None) -> None:
    """(Re)make DayRollup of hours that begin from `start` to before `end`; of these adapters only, or of all."""
    _condense(_DAY, start, end, adapters)


def _condense(parts: dict[str, str], start: datetime, end: datetime, adapters: Collection[int] | None) -> None:
    begin, until = (connection.ops.adapt_datetimefield_value(moment) for moment in (start, end))
    with connection.cursor() as cursor:
        for some in [None] if adapters is None else _chunks(adapters):
            narrowed = "" if some is None else f"AND adapter_id IN ({', '.join(['%s'] * len(some))})"
            cursor.execute(_STATEMENT.format(narrowed=narrowed, **parts), [begin, begin, until, *(some or ())])


def _chunks(adapters: Collection[int]) -> Iterator[list[int]]:
    source = iter(sorted(adapters))
    while some := list(islice(source, CHUNK)):
        yield some
