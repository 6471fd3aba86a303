"""Which adapters do not keep their slots as they should, by adapter: the worst that was measured of each."""

from portal.telemetry.models import SlotDay
from portal.web.slots_course import since, used_of
from provisioning.fleet.models import Adapter

DRIFT_DAYS = 60


def wrong_at(concentrator: int) -> dict[int, str]:
    """Adapter -> kind of trouble (portal.web.slots_states.TROUBLES), of those that this concentrator serves."""
    rows = SlotDay.objects.filter(concentrator=concentrator, day__gte=since(1)).order_by("day")
    return {row.adapter_id: "guard" for row in rows if (used_of(row) or 0) > 0.7}


def drift_of(adapter: Adapter) -> list[SlotDay]:
    """Its days of the last DRIFT_DAYS, in order of time."""
    return list(SlotDay.objects.filter(adapter=adapter, day__gte=since(DRIFT_DAYS)).order_by("day"))
