"""Events of concentrators: what they say stays bearable, and the few of interest are found among very many figures."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from meterwire import messages
from meterwire.messages import Event
from portal.telemetry.commissioning import heard_levels, heard_unpaired
from portal.telemetry.models import AdapterEvent
from portal.telemetry.services import MAX_INTEGER, store_events
from tests.portal.bridge.peer import new_id
from tests.portal.stage import NOON, Device, Stage

pytestmark = pytest.mark.django_db

FIGURES = """
INSERT INTO telemetry_adapterevent (id, organisation_id, concentrator_id, adapter_id, dev_eui, kind, reason, detail, at,
    stored_at)
SELECT gen_random_uuid(), %s, %s, %s, '', 'slot', '', '{}', now() - n * interval '20 s', now()
FROM generate_series(1, 4000) n
"""


def stored(stage: Stage, device: Device, **detail: Any) -> dict[str, Any]:
    one = Event(new_id(), messages.timestamp(NOON), "heard", dev_eui=device.row.dev_eui, detail=detail)
    (row,) = store_events([(stage.source, one)], datetime.fromtimestamp(NOON, UTC))
    found: dict[str, Any] = AdapterEvent.objects.get(pk=row.pk).detail
    return found


@pytest.mark.parametrize("number", [10**19, 10**30, 10**400])
def test_an_integer_longer_than_any_figure_ends_where_programs_can_count_with_it(stage: Stage, number: int) -> None:
    detail = stored(stage, stage.device(), rssi=number, rx=[{"rssi": -number}], text="1" * 30)
    assert detail == {"rssi": MAX_INTEGER, "rx": [{"rssi": -MAX_INTEGER}], "text": "1" * 30}


def test_figures_keep_every_digit(stage: Stage) -> None:
    detail = {"counter": 2**32 - 1, "offset_ms": -3_600_000.125, "ns": MAX_INTEGER, "count": 10**18}
    assert stored(stage, stage.device(), **detail) == detail


@pytest.mark.skipif(connection.vendor != "postgresql", reason="the plan is PostgreSQL's")
@pytest.mark.parametrize(
    "ask",
    [
        lambda stage, device: heard_unpaired(stage.organisation),
        lambda stage, device: heard_levels(device.row, [stage.concentrator]),
    ],
    ids=["page", "levels"],
)
def test_who_wants_to_join_is_found_without_reading_all_figures_of_slots(
    stage: Stage, ask: Callable[[Stage, Device], object]
) -> None:
    device = stage.device()
    with connection.cursor() as cursor:
        cursor.execute(FIGURES, [stage.organisation.pk, stage.concentrator.pk, device.row.pk])
        cursor.execute("ANALYZE telemetry_adapterevent")
        with CaptureQueriesContext(connection) as captured:
            ask(stage, device)
        cursor.execute("EXPLAIN " + next(query["sql"] for query in captured if "adapterevent" in query["sql"]))
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "event_joining" in plan
