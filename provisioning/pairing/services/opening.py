"""The one way in which a pairing opens and the one in which it ends, inside the transaction of a service."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor, user_of
from provisioning.audit.services import record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.models import Adapter, Concentrator, Meter, MeteringPoint
from provisioning.fleet.queries import Heard
from provisioning.pairing.models import ALL_REGISTERS, Pairing
from provisioning.pairing.services import steps
from provisioning.pairing.services.configuration import refresh_configuration
from provisioning.pairing.services.places import settle
from provisioning.pairing.services.slots import settle_slot

MAX_INPUT = 7


def open_pairing(
    actor: Actor,
    adapter: Adapter,
    point: MeteringPoint,
    meter: Meter | None,
    *,
    from_at: datetime,
    input: int = 0,
    register_group: str = ALL_REGISTERS,
    heard: Heard | None = None,
    claimed: dict[str, Any] | None = None,
    **said: Any,
) -> Pairing:
    """The adapter moves to the point, the pairing opens, its configuration is wanted. Conflict by the constraints."""
    before = adapter.concentrator_id
    settle(actor, adapter, point.site, heard)
    with validation.unique(_("Somebody else paired this adapter or metering point meanwhile; look again.")):
        pairing = Pairing.objects.create(
            organisation_id=adapter.organisation_id,
            adapter=adapter,
            input=input,
            metering_point=point,
            meter=meter,
            register_group=register_group,
            from_at=from_at,
            claimed_by=user_of(actor),
            **said,
        )
    steps.begin(pairing, from_at, claimed or {}, _table(adapter.concentrator_id))
    moved = adapter.concentrator_id != before
    slot = settle_slot(actor, adapter, _levels(adapter, heard), recorded=True, announced=moved)
    refresh_configuration(adapter, slot)
    data = facts(pairing) | ({} if slot is None else {"slot": str(slot)})
    record(adapter.organisation, actor, "pairing.created", pairing, data)
    return pairing


def end_pairing(actor: Actor, pairing: Pairing, at: datetime, reason: str, **last: Any) -> None:
    """Close a pairing. The caller releases or settles the adapter and refreshes its configuration."""
    if at < pairing.from_at:
        raise Invalid("at", _("A pairing cannot end before it began."))
    if not Pairing.objects.filter(pk=pairing.pk, to_at=None).update(to_at=at, state=Pairing.State.ENDED, **last):
        raise Conflict(_("This pairing has ended already; look again."))
    pairing.refresh_from_db()
    record(pairing.organisation, actor, "pairing.ended", pairing, {**facts(pairing), "reason": reason, **last})


def refuse_unless_free(
    adapter: Adapter, input: int, point: MeteringPoint, register_group: str, from_at: datetime
) -> None:
    """Conflict when the input or the metering point is paired, or was beyond `from_at`."""
    at_input = Pairing.objects.filter(adapter=adapter, input=input)
    at_point = Pairing.objects.filter(metering_point=point, register_group=register_group)
    if at_input.filter(to_at=None).exists():
        raise Conflict(_("This input of the adapter is paired already; unpair it first."))
    if at_point.filter(to_at=None).exists():
        raise Conflict(_("This metering point is read by another adapter already; unpair it first."))
    if at_input.filter(to_at__gt=from_at).exists() or at_point.filter(to_at__gt=from_at).exists():
        raise Conflict(_("An earlier pairing lasted beyond this time; let the new one begin later."))


def facts(pairing: Pairing) -> dict[str, object]:
    """What the audit keeps of a pairing."""
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


def _levels(adapter: Adapter, heard: Heard | None) -> Mapping[int, float]:
    """At which level its concentrator heard it."""
    if heard is None or adapter.concentrator is None:
        return {}
    return heard(adapter, [adapter.concentrator])


def _table(concentrator_id: int | None) -> dict[str, Any]:
    """The concentrator and the revision of its device table from which on it knows the adapter."""
    if concentrator_id is None:
        return {}
    row = Concentrator.objects.filter(pk=concentrator_id).values("eui", "desired_revision").first()
    return {} if row is None else {"concentrator": row["eui"], "revision": row["desired_revision"]}
