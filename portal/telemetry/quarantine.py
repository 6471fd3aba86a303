"""Readings of a meter that was not the one meant: stored, attributed to nobody, until an operator decides."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Min, QuerySet
from django.utils.translation import gettext as _

from portal.telemetry.models import DayRollup, HourRollup, LateHour, Reading
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


def withdraw(pairing: Pairing, since: datetime | None = None) -> int:
    """Take what the pairing's input sent away from the metering point; how many readings.

    `since` None: all since the pairing began, else what was measured from then on, when all was well before.
    """
    begin = pairing.from_at if since is None else max(since, pairing.from_at)
    count = _of(pairing, begin).filter(metering_point__isnull=False).update(metering_point=None)
    if count:
        _move_condensed(pairing, begin, None)
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
        count = _of(row).filter(metering_point=None).update(metering_point=point)
        _move_condensed(row, row.from_at, point)
        data = {"count": count, "metering_point": point.name, "reason": reason, "adapter": row.adapter.dev_eui}
        record(row.organisation, actor, "pairing.readings_attributed", row, data)
    return count


def _of(pairing: Pairing, begin: datetime | None = None) -> QuerySet[Reading]:
    """Readings of the pairing's adapter, input and time."""
    rows = Reading.objects.filter(
        adapter_id=pairing.adapter_id, register__in=_registers(pairing), measured_at__gte=begin or pairing.from_at
    )
    return rows if pairing.to_at is None else rows.filter(measured_at__lt=pairing.to_at)


def _move_condensed(pairing: Pairing, begin: datetime, point: MeteringPoint | None) -> None:
    """The same for what was condensed; the hour and day in which the readings begin are condensed anew."""
    for model in (HourRollup, DayRollup):
        rows = model.objects.filter(
            adapter_id=pairing.adapter_id, register__in=_registers(pairing), start__gte=begin,
            metering_point__isnull=point is not None,
        )  # fmt: skip
        if pairing.to_at is not None:
            rows = rows.filter(start__lt=pairing.to_at)
        rows.update(metering_point=point)
    hours = {moment.replace(minute=0, second=0, microsecond=0) for moment in (begin, pairing.to_at) if moment}
    LateHour.objects.bulk_create(
        [LateHour(start=hour, adapter_id=pairing.adapter_id) for hour in sorted(hours)], ignore_conflicts=True
    )


def _registers(pairing: Pairing) -> range:
    return range(pairing.input << 5, (pairing.input + 1) << 5)
