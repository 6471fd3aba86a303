"""What an actor may see of telemetry, starting from the adapters and metering points within reach."""

from dataclasses import dataclass

from django.db.models import F, QuerySet, Window
from django.db.models.functions import Lag

from portal.telemetry.models import AdapterEvent, Reading, Telegram
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.fleet.access import within_reach
from provisioning.fleet.models import Adapter
from provisioning.fleet.queries import visible_adapters, visible_metering_points
from provisioning.pairing.models import Pairing


@dataclass(frozen=True, slots=True)
class Gap:
    """Counters from `first` to `last` that never arrived."""

    first: int
    last: int


def readings_of_adapter(actor: Actor, adapter: int) -> QuerySet[Reading]:
    """Readings of an adapter; none when the actor may not see its readings. By register and time an index serves."""
    seen = visible_adapters(actor, action="readings.view").filter(pk=adapter)
    seen |= visible_adapters(actor, action="readings.view", archived=True).filter(pk=adapter)
    return Reading.objects.filter(adapter_id=adapter) if seen.exists() else Reading.objects.none()


def readings_of_metering_point(actor: Actor, point: int) -> QuerySet[Reading]:
    """Readings that belong to a metering point, whichever adapters brought them; none when it may not be seen."""
    seen = visible_metering_points(actor, action="readings.view").filter(pk=point)
    seen |= visible_metering_points(actor, action="readings.view", archived=True).filter(pk=point)
    if not seen.exists():
        return Reading.objects.none()
    # Through the adapters, because their index is the one there is.
    adapters = Pairing.objects.filter(metering_point_id=point).values_list("adapter_id", flat=True)
    return Reading.objects.filter(adapter_id__in=list(adapters), metering_point_id=point)


def visible_telegrams(actor: Actor, organisation: Organisation | None = None) -> QuerySet[Telegram]:
    """Telegrams for diagnosis, those of unknown adapters for members of all sites only. Empty without that right."""
    return within_reach(Telegram.objects.all(), actor, organisation, "telemetry.diagnose", "adapter__site_id")


def visible_events(actor: Actor, organisation: Organisation | None = None) -> QuerySet[AdapterEvent]:
    """Events for diagnosis; a member limited to sites sees those of adapters there."""
    return within_reach(AdapterEvent.objects.all(), actor, organisation, "telemetry.diagnose", "adapter__site_id")


def gaps(adapter: Adapter | int, limit: int = 100) -> list[Gap]:
    """The latest gaps in an adapter's counters, the highest first."""
    accepted = Telegram.objects.filter(adapter=adapter, error=None, counter__isnull=False)
    before = Window(Lag("counter"), order_by="counter")
    rows = accepted.annotate(before=before).filter(before__lt=F("counter") - 1).order_by("-counter")
    return [Gap(row.before + 1, row.counter - 1) for row in rows[:limit] if row.counter is not None]
