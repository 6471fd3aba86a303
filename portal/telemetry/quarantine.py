"""Readings of a meter that was not the one meant: stored, attributed to nobody, until an operator decides."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Min, Q, QuerySet
from django.utils.translation import gettext as _

from portal.telemetry.models import DayRollup, HourRollup, Reading
from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict
from provisioning.fleet.access import require_at
from provisioning.fleet.models import MeteringPoint
from provisioning.pairing.models import Pairing


@dataclass(frozen=True, slots=True)
class Held:
    """How many readings of a pairing belong to nobody, and from when to when they were measured."""

    count: int
    first: datetime | None
    last: datetime | None


def withdraw(pairing: Pairing) -> int:
    """Take what the pairing's input sent since its begin away from the metering point; how many readings."""
    rows = _of(pairing).filter(metering_point__isnull=False)
    count = rows.update(metering_point=None)
    if count:
        _rollups(pairing, None)
    return count


def quarantined(pairing: Pairing) -> Held:
    """What waits for a decision."""
    rows = _of(pairing).filter(metering_point=None)
    found = rows.aggregate(count=Count("counter"), first=Min("measured_at"), last=Max("measured_at"))
    return Held(found["count"], found["first"], found["last"])


def attribute(actor: Actor, pairing: Pairing, point: MeteringPoint, *, reason: str) -> int:
    """Give the readings that belong to nobody to `point`; how many. Conflict while the mismatch is undecided."""
    require_at(actor, pairing.organisation_id, pairing.metering_point.site_id, "pairing.end")
    require_at(actor, pairing.organisation_id, point.site_id, "pairing.end")
    validation.same_organisation("metering_point", point, pairing.organisation_id)
    reason = validation.text("reason", reason, 200, required=True)
    with audited(pairing.organisation):
        row = Pairing.objects.get(pk=pairing.pk)
        if row.to_at is None and row.identity == Pairing.Identity.MISMATCH:
            raise Conflict(_("Decide the mismatch first: swap, accept the meter, or end the pairing."))
        held = quarantined(row)
        _of(row).filter(metering_point=None).update(metering_point=point)
        _rollups(row, point, only_free=True)
        data = {"count": held.count, "metering_point": point.name, "reason": reason, "adapter": row.adapter.dev_eui}
        record(row.organisation, actor, "pairing.readings_attributed", row, data)
    return held.count


def _of(pairing: Pairing) -> QuerySet[Reading]:
    """Readings of the pairing's adapter, input and time."""
    first = pairing.input << 5
    rows = Reading.objects.filter(
        adapter_id=pairing.adapter_id,
        register__gte=first,
        register__lt=first + 32,
        measured_at__gte=pairing.from_at,
    )
    return rows if pairing.to_at is None else rows.filter(measured_at__lt=pairing.to_at)


def _rollups(pairing: Pairing, point: MeteringPoint | None, *, only_free: bool = False) -> None:
    first = pairing.input << 5
    for model in (HourRollup, DayRollup):
        when = (
            Q(start__gte=pairing.from_at)
            if pairing.to_at is None
            else Q(start__gte=pairing.from_at, start__lt=pairing.to_at)
        )
        rows = model.objects.filter(when, adapter_id=pairing.adapter_id, register__gte=first, register__lt=first + 32)
        (rows.filter(metering_point=None) if only_free else rows).update(metering_point=point)
