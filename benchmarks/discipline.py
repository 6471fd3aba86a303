"""Measures slot discipline on a private PostgreSQL: two weeks of days of 30,000 adapters at one concentrator, and of
100,000 at four; one in fifty is in trouble.

`troubles_ms_30000` and `troubles_ms_100000` are the time to name all that are (bounds 100 and 300 ms); `all_ms`
is the same at 30,000 when every single one is. `events_per_cpu_s` counts hourly figures that become days: 30,000
adapters send 8.3 a second.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from benchmarks.stand import portal
from benchmarks.support import arguments, report

if TYPE_CHECKING:
    from portal.telemetry.arrivals import Source

ADAPTERS, CONCENTRATORS = 100_000, 4
AT_ONE = 30_000
DAYS = 14
EVENTS, BATCH = 4_000, 200
NOW = datetime(2026, 3, 20, 10, tzinfo=UTC)

_ADAPTERS = """
INSERT INTO fleet_adapter (organisation_id, site_id, concentrator_id, dev_eui, join_eui, serial, kind, activation,
    dev_addr, lorawan, location, created_at)
SELECT %(organisation)s, %(site)s,
    (%(places)s::bigint[])[CASE WHEN n < %(first)s THEN 1 ELSE least(2 + (n - %(first)s) / %(rest)s, 4) END],
    '70b3d57ee1' || lpad(to_hex(n), 6, '0'), '70b3d57ed0000000', '', 'meterspan', 'otaa', '', '1.0.4', '', now()
FROM generate_series(0, %(all)s - 1) n
"""
_ASSIGNMENTS = """
INSERT INTO slots_assignment (adapter_id, organisation_id, concentrator_id, channel, phase_ms, period_s, data_rate,
    size, guard_ms, length_ms, version, dev_addr, overlap_ms, assigned_at, echoed_version, echoed_at, proposals)
SELECT id, organisation_id, concentrator_id, 0, 0, 900, 0, 16, 60, 200, 1, '', 0, '2026-01-01Z', 1, %(now)s, 0
FROM fleet_adapter
"""


def main() -> None:
    options = arguments(__doc__)
    with portal():
        sources = _fill()
        figures = {
            "troubles_ms_30000": _least_ms(lambda: _named(sources[:1])),
            "troubles_ms_100000": _least_ms(lambda: _named(sources)),
            "named_30000": float(_named(sources[:1])),
        }
        figures["events_per_cpu_s"] = _events(sources[0])
        _mark_all(sources[0])
        figures["all_ms"] = _least_ms(lambda: _named(sources[:1]), times=3)
    report(figures, options.json)


def _fill() -> "list[Source]":
    """Adapters with slots at four concentrators, the first of which serves 30,000, and their days."""
    from django.db import connection

    from portal.telemetry.arrivals import Source
    from portal.telemetry.models import SlotDay
    from provisioning.accounts.models import Organisation
    from provisioning.fleet.models import Concentrator, Site

    organisation = Organisation.objects.create(name="bench", slug="bench")
    site = Site.objects.create(organisation=organisation, name="Everywhere")
    places = [
        Concentrator.objects.create(organisation=organisation, site=site, eui=f"70b3d57ee00c{n:04x}", name=f"C{n}")
        for n in range(CONCENTRATORS)
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            _ADAPTERS,
            {
                "organisation": organisation.pk, "site": site.pk, "places": [place.pk for place in places],
                "first": AT_ONE, "rest": (ADAPTERS - AT_ONE) // (CONCENTRATORS - 1), "all": ADAPTERS,
            },
        )  # fmt: skip
        cursor.execute(_ASSIGNMENTS, {"now": NOW})
    _days(SlotDay._meta.db_table)
    return [Source(place.pk, organisation.pk, place.eui) for place in places]


def _days(table: str) -> None:
    from django.db import connection

    columns = (
        "adapter_id, concentrator_id, day, version, guard_ms, inside, outside, other, expected, arrived, collided,"
        " early_ms, late_ms, median_ms, rate_ppb, uncertainty_ms, answers, marks"
    )
    values = (
        "adapter_id, concentrator_id, DATE '2026-03-20' - ago, 1, 60, 96, 3, 0, 96, 96, 0,"
        " 4, CASE WHEN adapter_id % 50 = 0 THEN 55 ELSE 10 END, 1, 9000, 3, 2, (adapter_id % 50 = 0)::int"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({columns}) SELECT {values} FROM generate_series({DAYS - 1}, 0, -1) AS ago,"
            " slots_assignment"
        )
        cursor.execute("VACUUM ANALYZE")


def _mark_all(source: "Source") -> None:
    from django.db import connection

    from portal.telemetry.models import SlotDay

    SlotDay.objects.filter(concentrator=source.pk).update(marks=1, late_ms=55)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _named(sources: "list[Source]") -> int:
    from portal.telemetry.slot_queries import troubles
    from provisioning.fleet.models import Concentrator

    return len(troubles(Concentrator.objects.filter(pk__in=[source.pk for source in sources]), NOW))


def _events(source: "Source") -> float:
    import secrets

    from meterwire import messages
    from portal.telemetry.services import store_events

    unix = NOW.timestamp()
    detail = {
        "n": 4, "early_ms_p99": 3.5, "late_ms_p99": 12.0, "median_ms": 1.5, "rate_ppb": -12_345, "uncertainty_ms": 8.5,
        "answers": 1, "outside": 2, "version": 1, "expected": 4, "missed": 0, "alone_missed": 0,
    }  # fmt: skip
    events = [
        messages.Event(
            id=messages.ulid(unix, secrets.token_bytes(10)), time=messages.timestamp(unix), kind="slot",
            dev_eui=f"70b3d57ee1{n:06x}", detail=detail,
        )
        for n in range(EVENTS)
    ]  # fmt: skip
    began = time.process_time()
    for first in range(0, EVENTS, BATCH):
        store_events([(source, one) for one in events[first : first + BATCH]], NOW)
    return EVENTS / (time.process_time() - began)


def _least_ms(work: Callable[[], object], times: int = 9) -> float:
    """The least of several: what else runs on the machine is no part of it."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        spent.append((time.perf_counter() - began) * 1000)
    return min(spent)


if __name__ == "__main__":
    main()
