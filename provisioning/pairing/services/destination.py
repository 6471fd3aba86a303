"""Where a scanned adapter goes: site, metering point and meter, and who is there already."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from meterwire.ids import MeterId
from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.fleet.access import within_reach
from provisioning.fleet.models import Adapter, Meter, MeteringPoint, Site
from provisioning.fleet.services.meters import add_point, put_meter
from provisioning.pairing.models import ALL_REGISTERS, Pairing
from provisioning.pairing.services.answers import ClaimRequest, Refusal

MAX_CHOICES = 50
MAX_NAME = 80


@dataclass(frozen=True, slots=True)
class Place:
    """A site, and what of the rest exists there already."""

    site: Site
    point: MeteringPoint | None
    meter: Meter | None


def refuse_if_paired(adapter: Adapter, input: int) -> None:
    """Refusal `already_paired`, which says who did it and when."""
    held = Pairing.objects.filter(adapter=adapter, input=input, to_at=None).select_related("claimed_by").first()
    if held is not None:
        message = _("{who} paired this adapter on {when}; if it is to read another meter, ask an operator.")
        raise _taken("already_paired", "adapter_scan", message.format(**_shown(held)), held)


def find(actor: Actor, organisation: Organisation, adapter: Adapter, meter_id: MeterId, request: ClaimRequest) -> Place:
    """The site that was given, else the metering point's, else the meter's, else the adapter's. Refusal otherwise."""
    validation.same_organisation("site", request.site, organisation.pk)
    validation.same_organisation("metering_point", request.metering_point, organisation.pk)
    installed = Meter.objects.filter(organisation=organisation, meter_id=str(meter_id), removed_at=None)
    meter = installed.select_related("metering_point__site").first()
    point = request.metering_point
    if point is None and meter is not None:
        point = meter.metering_point
    site = request.site or (adapter.site if point is None else point.site)
    if site is None:
        raise _site_needed(actor, organisation)
    if point is not None:
        _refuse_if_read(point)
        if point.site_id != site.pk or (meter is not None and meter.metering_point_id != point.pk):
            message = _("This meter is registered at another metering point; ask an operator to move it.")
            raise Refusal(409, "meter_elsewhere", message, field="meter_scan")
    return Place(site, point, meter)


def prepare(actor: Actor, place: Place, meter_id: MeterId, note: str, now: datetime) -> tuple[MeteringPoint, Meter]:
    """Make what does not exist yet: the metering point, named after the note, and the meter at it."""
    validation.present(place.site if place.point is None else place.point)
    point = place.point
    if point is None:
        point = add_point(actor, place.site, name=_free_name(place.site, note, meter_id))
    if place.meter is not None:
        return point, place.meter
    other = None if place.point is None else point.meters.filter(removed_at=None).first()
    if other is not None:
        message = _("Meter {meter} is registered at this metering point; ask an operator to replace it.")
        shown = MeterId.parse(other.meter_id).display
        raise Refusal(409, "other_meter", message.format(meter=shown), field="meter_scan")
    number, server_id = str(meter_id), meter_id.server_id().hex()
    return point, put_meter(actor, point, meter_id=number, server_id=server_id, installed_at=now)


def _refuse_if_read(point: MeteringPoint) -> None:
    held = Pairing.objects.filter(metering_point=point, register_group=ALL_REGISTERS, to_at=None)
    row = held.select_related("claimed_by", "adapter").first()
    if row is not None:
        message = _(
            "Adapter {adapter} reads this meter since {when} ({who}); if it is to be replaced, ask an operator."
        )
        shown = message.format(adapter=row.adapter.dev_eui.upper(), **_shown(row))
        raise _taken("meter_paired", "meter_scan", shown, row)


def _site_needed(actor: Actor, organisation: Organisation) -> Refusal:
    rows = within_reach(Site.objects.filter(archived_at=None), actor, organisation, "pairing.create", "pk")
    choices = [{"id": pk, "name": name} for pk, name in rows.values_list("pk", "name")[:MAX_CHOICES]]
    message = _("Neither the adapter nor the meter has a site yet; choose where you are.")
    return Refusal(409, "site_needed", message, kept=False, field="site", choices=choices)


def _free_name(site: Site, note: str, meter_id: MeterId) -> str:
    own = _("Meter {meter}").format(meter=meter_id.display)
    name = note[:MAX_NAME] or own
    taken = MeteringPoint.objects.filter(site=site, name__in=[name, own], archived_at=None)
    held = set(taken.values_list("name", flat=True))
    if name not in held:
        return name
    return f"{name} ({meter_id.display})" if note else f"{own} ({timezone.now():%Y-%m-%d %H:%M:%S})"


def _taken(code: str, field: str, message: str, held: Pairing) -> Refusal:
    return Refusal(409, code, message, field=field, who=_name(held), when=held.from_at.isoformat())


def _shown(held: Pairing) -> dict[str, str]:
    when = date_format(timezone.localtime(held.from_at), "SHORT_DATETIME_FORMAT")
    return {"who": _name(held), "when": when}


def _name(held: Pairing) -> str:
    return _("Somebody") if held.claimed_by is None else held.claimed_by.get_full_name() or held.claimed_by.email
