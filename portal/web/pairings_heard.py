"""What is known of an adapter that asks to join and is paired with nothing."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from portal.telemetry.commissioning import UNPAIRED_WITHIN
from portal.telemetry.models import AdapterEvent
from provisioning.fleet.models import Adapter, Concentrator


@dataclass(frozen=True, slots=True)
class Heard:
    """The last join request that nobody answered."""

    at: datetime
    concentrator: Concentrator | None
    rssi: float | None
    snr: float | None
    count: int | None


def heard_of(adapter: Adapter) -> Heard | None:
    """The latest within a day, when the adapter has not joined since and its own concentrator does not hear it."""
    events = AdapterEvent.objects.filter(
        adapter=adapter, kind__in=["heard", "joined"], at__gte=timezone.now() - UNPAIRED_WITHIN
    )
    row = events.select_related("concentrator").order_by("-at").first()
    if row is None or row.kind != "heard" or row.concentrator_id == adapter.concentrator_id:
        return None
    rssi, snr, count = (row.detail.get(name) for name in ("rssi", "snr", "count"))
    return Heard(row.at, row.concentrator, _number(rssi), _number(snr), count if isinstance(count, int) else None)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
