"""Every change to pairings: permission, change, audit, in one transaction. History is closed, never rewritten."""

from datetime import datetime

from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Adapter, Meter, MeteringPoint
from provisioning.fleet.services.meters import install_meter, remove_meter
from provisioning.pairing.models import ALL_REGISTERS, Pairing

MAX_INPUT = 7


def pair(
    actor: Actor,
    adapter: Adapter,
    point: MeteringPoint,
    *,
    input: int = 0,
    register_group: str = ALL_REGISTERS,
    from_at: datetime | None = None,
    reason: str = "",
) -> Pairing:
    """Readings of `adapter`'s input belong to `point` from `from_at` (None: now) on; state PENDING.

    The meter is the one installed there now, if any. Conflict when the input or the metering point is paired already,
    or an earlier pairing of either lasted beyond `from_at`.
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
        _free(adapter, input, point, register_group, from_at)
        with validation.unique(_("Somebody else paired this adapter or metering point meanwhile; look again.")):
            pairing = Pairing.objects.create(
                organisation_id=adapter.organisation_id,
                adapter=adapter,
                input=input,
                metering_point=point,
                meter=point.meters.filter(removed_at=None).first(),
                register_group=register_group,
                reason=reason,
                from_at=from_at,
            )
        record(adapter.organisation, actor, "pairing.created", pairing, _facts(pairing))
    return pairing


def confirm(actor: Actor, pairing: Pairing, identity: str, reason: str = "") -> Pairing:
    """The right meter is read: `identity` match, or unreadable when a person compared the display."""
    require_at(actor, pairing.organisation_id, pairing.metering_point.site_id, "pairing.create")
    identity = validation.choice("identity", identity, [Pairing.Identity.MATCH, Pairing.Identity.UNREADABLE])
    reason = validation.text("reason", reason, 200)
    with audited(pairing.organisation):
        pending = Pairing.objects.filter(pk=pairing.pk, state=Pairing.State.PENDING)
        if not pending.update(state=Pairing.State.CONFIRMED, identity=identity):
            raise Conflict(_("This pairing is not waiting for confirmation; look again."))
        pairing.refresh_from_db()
        facts = {**_facts(pairing), "identity": identity, "reason": reason}
        record(pairing.organisation, actor, "pairing.confirmed", pairing, facts)
    return pairing


def unpair(actor: Actor, pairing: Pairing, *, reason: str, at: datetime | None = None) -> Pairing:
    """End a pairing at `at` (None: now). What was read until then stays with the metering point."""
    require_at(actor, pairing.organisation_id, pairing.metering_point.site_id, "pairing.end")
    reason = validation.text("reason", reason, 200, required=True)
    at = validation.moment("at", at)
    with audited(pairing.organisation):
        _end(actor, pairing, at, reason)
    return pairing


def replace_adapter(
    actor: Actor, pairing: Pairing, adapter: Adapter, *, reason: str, input: int = 0, at: datetime | None = None
) -> Pairing:
    """Another adapter reads the metering point from `at` on; returns the new pairing."""
    require_at(actor, pairing.organisation_id, pairing.metering_point.site_id, "pairing.end")
    reason = validation.text("reason", reason, 200, required=True)
    at = validation.moment("at", at)
    with audited(pairing.organisation):
        _end(actor, pairing, at, reason)
        return pair(
            actor,
            adapter,
            pairing.metering_point,
            input=input,
            register_group=pairing.register_group,
            from_at=at,
            reason=reason,
        )


def replace_meter(
    actor: Actor,
    pairing: Pairing,
    meter_id: str,
    *,
    reason: str,
    server_id: str = "",
    maker: str = "",
    at: datetime | None = None,
) -> Pairing:
    """Another meter stands at the metering point from `at` on; returns the new pairing of the same adapter."""
    require_at(actor, pairing.organisation_id, pairing.metering_point.site_id, "pairing.end")
    reason = validation.text("reason", reason, 200, required=True)
    at = validation.moment("at", at)
    point = pairing.metering_point
    with audited(pairing.organisation):
        _end(actor, pairing, at, reason)
        for old in Meter.objects.filter(metering_point=point, removed_at=None):
            remove_meter(actor, old, at=at)
        install_meter(actor, point, meter_id=meter_id, server_id=server_id, maker=maker, installed_at=at)
        return pair(
            actor,
            pairing.adapter,
            point,
            input=pairing.input,
            register_group=pairing.register_group,
            from_at=at,
            reason=reason,
        )


def _free(adapter: Adapter, input: int, point: MeteringPoint, register_group: str, from_at: datetime) -> None:
    at_input = Pairing.objects.filter(adapter=adapter, input=input)
    at_point = Pairing.objects.filter(metering_point=point, register_group=register_group)
    if at_input.filter(to_at=None).exists():
        raise Conflict(_("This input of the adapter is paired already; unpair it first."))
    if at_point.filter(to_at=None).exists():
        raise Conflict(_("This metering point is read by another adapter already; unpair it first."))
    if at_input.filter(to_at__gt=from_at).exists() or at_point.filter(to_at__gt=from_at).exists():
        raise Conflict(_("An earlier pairing lasted beyond this time; let the new one begin later."))


def _end(actor: Actor, pairing: Pairing, at: datetime, reason: str) -> None:
    if at < pairing.from_at:
        raise Invalid("at", _("A pairing cannot end before it began."))
    if not Pairing.objects.filter(pk=pairing.pk, to_at=None).update(to_at=at, state=Pairing.State.ENDED):
        raise Conflict(_("This pairing has ended already; look again."))
    pairing.refresh_from_db()
    record(pairing.organisation, actor, "pairing.ended", pairing, {**_facts(pairing), "reason": reason})


def _facts(pairing: Pairing) -> dict[str, object]:
    return {
        "adapter": pairing.adapter.dev_eui,
        "input": pairing.input,
        "metering_point": pairing.metering_point.name,
        "meter": pairing.meter and pairing.meter.meter_id,
        "register_group": pairing.register_group,
        "from_at": pairing.from_at,
        "to_at": pairing.to_at,
        "reason": pairing.reason,
    }
