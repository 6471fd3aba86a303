"""Pairings by hand: pair, unpair, replace the adapter or the meter, move."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter, Meter, MeteringPoint
from provisioning.fleet.queries import Heard
from provisioning.fleet.services.meters import install_meter, remove_meter
from provisioning.labels.services import consume
from provisioning.pairing.models import ALL_REGISTERS, Pairing
from provisioning.pairing.services import steps
from provisioning.pairing.services.configuration import refresh_configuration
from provisioning.pairing.services.opening import MAX_INPUT, end_pairing, open_pairing, refuse_unless_free
from provisioning.pairing.services.places import release as release_adapter
from provisioning.pairing.services.slots import settle_slot
from provisioning.pairing.services.values import kilowatt_hours
from provisioning.slots import services as slots


def pair(
    actor: Actor,
    adapter: Adapter,
    point: MeteringPoint,
    *,
    input: int = 0,
    register_group: str = ALL_REGISTERS,
    from_at: datetime | None = None,
    reason: str = "",
    heard: Heard | None = None,
) -> Pairing:
    """Readings of `adapter`'s input belong to `point` from `from_at` (None: now) on; state PENDING.

    The adapter moves to the point's site and under the concentrator there. The meter is the one installed there now,
    if any. Conflict when the input or the metering point is paired already, or an earlier pairing of either lasted
    beyond `from_at`.
    """
    require_at(actor, adapter.organisation_id, point.site_id, "pairing.create")
    if adapter.site_id is not None and adapter.site_id != point.site_id:
        require_at(actor, adapter.organisation_id, adapter.site_id, "pairing.create")
    validation.same_organisation("metering_point", point, adapter.organisation_id)
    if not 0 <= input <= MAX_INPUT:
        raise Invalid("input", _("Inputs run from 0 to {limit}.").format(limit=MAX_INPUT))
    register_group = validation.text("register_group", register_group, 20, required=True)
    from_at = validation.moment("from_at", from_at)
    reason = validation.text("reason", reason, 200)
    with audited(adapter.organisation):
        validation.present(adapter, point)
        refuse_unless_free(adapter, input, point, register_group, from_at)
        _refuse_if_elsewhere(adapter, point)
        meter = point.meters.filter(removed_at=None).first()
        return open_pairing(
            actor,
            adapter,
            point,
            meter,
            from_at=from_at,
            input=input,
            register_group=register_group,
            heard=heard,
            reason=reason,
        )


def unpair(actor: Actor, pairing: Pairing, *, reason: str, at: datetime | None = None, release: bool = True) -> Pairing:
    """End a pairing at `at` (None: now). What was read until then stays with the metering point.

    `release`: with its last pairing the adapter goes back into stock, at no site and under no concentrator.
    """
    reason, at = _asked(actor, pairing, reason, at)
    with audited(pairing.organisation):
        end_pairing(actor, pairing, at, reason)
        _let_go(actor, pairing, release)
    return pairing


def replace_adapter(
    actor: Actor, pairing: Pairing, adapter: Adapter, *, reason: str, input: int = 0, at: datetime | None = None
) -> Pairing:
    """Another adapter reads the metering point from `at` on; returns the new pairing.

    The old one is released, the new one's label is used up. The slot goes over with the place, where the new one needs
    the same.
    """
    reason, at = _asked(actor, pairing, reason, at)
    with audited(pairing.organisation):
        end_pairing(actor, pairing, at, reason)
        if adapter.pk != pairing.adapter_id:
            if not Pairing.objects.filter(adapter=pairing.adapter_id, to_at=None).exists():
                slots.hand_on(actor, pairing.adapter, adapter)
            _let_go(actor, pairing, True)
        new = _follow(actor, pairing, adapter, pairing.metering_point, from_at=at, reason=reason, input=input)
        consume(actor, adapter)
        changed = [pairing.adapter.dev_eui, adapter.dev_eui]
        data = {"adapter": changed, "metering_point": new.metering_point.name, "reason": reason}
        record(pairing.organisation, actor, "pairing.adapter_replaced", new, data)
    return new


def replace_meter(
    actor: Actor,
    pairing: Pairing,
    meter_id: str,
    *,
    reason: str,
    server_id: str = "",
    maker: str = "",
    at: datetime | None = None,
    last_value: Decimal | None = None,
    first_value: Decimal | None = None,
) -> Pairing:
    """Another meter stands at the metering point from `at` on; returns the new pairing of the same adapter.

    `last_value` is the old meter's reading in kWh, `first_value` the new one's; they stay on the two pairings.
    """
    reason, at = _asked(actor, pairing, reason, at)
    last = kilowatt_hours("last_value", last_value)
    first = kilowatt_hours("first_value", first_value)
    point = pairing.metering_point
    with audited(pairing.organisation):
        end_pairing(actor, pairing, at, reason, last_value=last)
        before = [meter.meter_id for meter in Meter.objects.filter(metering_point=point, removed_at=None)]
        for old in Meter.objects.filter(metering_point=point, removed_at=None):
            remove_meter(actor, old, at=at)
        install_meter(actor, point, meter_id=meter_id, server_id=server_id, maker=maker, installed_at=at)
        new = _follow(actor, pairing, pairing.adapter, point, from_at=at, reason=reason, input=pairing.input)
        Pairing.objects.filter(pk=new.pk).update(first_value=first)
        new.first_value = first
        steps.inherit(new, pairing)
        changed = [*before, new.meter and new.meter.meter_id]
        data = {"meter": changed, "metering_point": point.name, "last_value": last, "first_value": first}
        record(pairing.organisation, actor, "pairing.meter_replaced", new, {**data, "reason": reason})
    return new


def move(
    actor: Actor, pairing: Pairing, point: MeteringPoint, reason: str, *, input: int | None = None,
    at: datetime | None = None,
) -> Pairing:  # fmt: skip
    """The adapter reads another metering point, perhaps of another site, from `at` on; returns the new pairing."""
    reason, at = _asked(actor, pairing, reason, at)
    require_at(actor, pairing.organisation_id, point.site_id, "pairing.end")
    if point.pk == pairing.metering_point_id:
        raise Conflict(_("This adapter reads that metering point already; choose another one."))
    with audited(pairing.organisation):
        end_pairing(actor, pairing, at, reason)
        place = pairing.input if input is None else input
        new = _follow(actor, pairing, pairing.adapter, point, from_at=at, reason=reason, input=place)
        if point.site_id == pairing.metering_point.site_id:
            steps.inherit(new, pairing)
        changed = {
            "metering_point": [pairing.metering_point.name, point.name],
            "site": [pairing.metering_point.site.name, point.site.name],
        }
        record(pairing.organisation, actor, "pairing.moved", new, {**changed, "reason": reason})
    return new


def _asked(actor: Actor, pairing: Pairing, reason: str, at: datetime | None) -> tuple[str, datetime]:
    require_at(actor, pairing.organisation_id, pairing.metering_point.site_id, "pairing.end")
    return validation.text("reason", reason, 200, required=True), validation.moment("at", at)


def _follow(actor: Actor, old: Pairing, adapter: Adapter, point: MeteringPoint, **said: Any) -> Pairing:
    return pair(actor, adapter, point, register_group=old.register_group, **said)


def _let_go(actor: Actor, pairing: Pairing, release: bool) -> None:
    if release:
        release_adapter(actor, pairing.adapter)
    settle_slot(actor, pairing.adapter, let_go=True)
    refresh_configuration(pairing.adapter)


def _refuse_if_elsewhere(adapter: Adapter, point: MeteringPoint) -> None:
    """The inputs of one adapter hang in one building."""
    others = Pairing.objects.filter(adapter=adapter, to_at=None).exclude(metering_point__site_id=point.site_id)
    other = others.select_related("metering_point__site").first()
    if other is not None:
        where = {"point": other.metering_point.name, "site": other.metering_point.site.name}
        raise Conflict(_("Another input of this adapter reads {point} at {site}; unpair it first.").format(**where))
