"""Metering points and the meters at them."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.ids import MaloId, MeloId, MeterId, ServerId
from provisioning import changes, validation
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet import guards
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Meter, MeteringPoint, Site


def create_metering_point(
    actor: Actor, site: Site, *, name: str, melo_id: str = "", malo_id: str = ""
) -> MeteringPoint:
    """A place that is measured; its name is unique at the site, its MeLo-ID in the organisation."""
    require_at(actor, site.organisation_id, site.pk, "fleet.install")
    values = _values(name, melo_id, malo_id)
    with audited(site.organisation):
        validation.present(site)
        return add_point(actor, site, **values)


def add_point(actor: Actor, site: Site, **values: str) -> MeteringPoint:
    """The change of create_metering_point inside the transaction of a service that has checked and asked."""
    with validation.unique(_("There is a metering point with this name at the site, or with this MeLo-ID, already.")):
        point = MeteringPoint.objects.create(organisation=site.organisation, site=site, **values)
    record(site.organisation, actor, "metering_point.created", point, {"site": site.name})
    return point


def update_metering_point(
    actor: Actor, point: MeteringPoint, *, name: str, melo_id: str = "", malo_id: str = ""
) -> MeteringPoint:
    """Set all of a metering point's fields."""
    require_at(actor, point.organisation_id, point.site_id, "fleet.edit")
    values = _values(name, melo_id, malo_id)
    with audited(point.organisation):
        validation.present(point)
        with validation.unique(
            _("There is a metering point with this name at the site, or with this MeLo-ID, already.")
        ):
            changed = changes.apply(point, **values)
        if changed:
            record(point.organisation, actor, "metering_point.updated", point, changed)
    return point


def archive_metering_point(actor: Actor, point: MeteringPoint) -> None:
    """Put a metering point away; its readings stay. Conflict while a meter or an open pairing is there."""
    require_at(actor, point.organisation_id, point.site_id, "fleet.edit")
    with audited(point.organisation):
        if point.meters.filter(removed_at=None).exists():
            raise Conflict(_("There is a meter at this metering point; remove it first."))
        guards.refuse_if_used(point)
        now = timezone.now()
        if MeteringPoint.objects.filter(pk=point.pk, archived_at=None).update(archived_at=now):
            point.archived_at = now
            record(point.organisation, actor, "metering_point.archived", point)


def install_meter(
    actor: Actor,
    point: MeteringPoint,
    *,
    meter_id: str,
    server_id: str = "",
    maker: str = "",
    installed_at: datetime | None = None,
) -> Meter:
    """A meter comes to a metering point that has none.

    `meter_id` after DIN 43863-5; `server_id` (hex) is what the meter calls itself in SML, derived when empty.
    """
    require_at(actor, point.organisation_id, point.site_id, "fleet.install")
    meter_id = validation.identifier("meter_id", MeterId.parse, meter_id)
    server_id = _server_id(server_id) or MeterId.parse(meter_id).server_id().hex()
    maker = validation.text("maker", maker, 80)
    installed_at = validation.moment("installed_at", installed_at)
    with audited(point.organisation):
        validation.present(point)
        if point.meters.filter(removed_at=None).exists():
            raise Conflict(_("There is a meter at this metering point already; remove it first."))
        return put_meter(actor, point, meter_id=meter_id, server_id=server_id, maker=maker, installed_at=installed_at)


def put_meter(actor: Actor, point: MeteringPoint, **values: Any) -> Meter:
    """The change of install_meter inside the transaction of a service that has checked and asked."""
    message = _("Meter {meter_id} is installed at another metering point; remove it there first.")
    with validation.unique(message.format(meter_id=values["meter_id"])):
        meter = Meter.objects.create(organisation=point.organisation, metering_point=point, **values)
    record(point.organisation, actor, "meter.installed", meter, {"metering_point": point.name})
    return meter


def remove_meter(actor: Actor, meter: Meter, *, at: datetime | None = None) -> Meter:
    """A meter leaves its metering point. Conflict while an open pairing names it, or when it has left already."""
    point = meter.metering_point
    require_at(actor, meter.organisation_id, point.site_id, "fleet.install")
    at = validation.moment("at", at)
    if at < meter.installed_at:
        raise Invalid("at", _("A meter cannot leave before it came."))
    with audited(meter.organisation):
        guards.refuse_if_used(meter)
        if not Meter.objects.filter(pk=meter.pk, removed_at=None).update(removed_at=at):
            raise Conflict(_("This meter was removed already."))
        meter.removed_at = at
        record(meter.organisation, actor, "meter.removed", meter, {"metering_point": point.name})
    return meter


def _values(name: str, melo_id: str, malo_id: str) -> dict[str, Any]:
    return {
        "name": validation.text("name", name, 120, required=True),
        "melo_id": validation.identifier("melo_id", MeloId.parse, melo_id) if melo_id else "",
        "malo_id": validation.identifier("malo_id", MaloId.parse, malo_id) if malo_id else "",
    }


def _server_id(text: str) -> str:
    if not text:
        return ""
    try:
        octets = bytes.fromhex(text) if len(text) <= 40 else b""
    except (ValueError, TypeError):
        octets = b""
    return validation.identifier("server_id", lambda _: ServerId(octets), text).lower()
