"""What becomes of a pairing whose adapter reads another meter than the one that was scanned."""

from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.identity import meter_of
from meterwire.ids import MeterId
from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Meter
from provisioning.fleet.services.meters import install_meter
from provisioning.pairing.models import Pairing, PairingStep
from provisioning.pairing.services import steps
from provisioning.pairing.services.configuration import refresh_configuration
from provisioning.pairing.services.opening import end_pairing, open_pairing

HOW = ("accept", "swap", "retry")


def resolve_mismatch(actor: Actor, pairing: Pairing, how: str, *, reason: str = "", meter_id: str = "") -> Pairing:
    """Decide a MISMATCH; returns the pairing that waits for its identity anew.

    `accept`: the meter that was read is the right one and takes the place of the scanned one (`meter_id`, only needed
    when its name tells no number). `swap`: exchange the metering points with the pairing of the meter that was read.
    `retry`: somebody moved the adapter by hand. Readings of the mistaken time are not touched here.
    """
    require_at(actor, pairing.organisation_id, pairing.metering_point.site_id, "pairing.end")
    how = validation.choice("how", how, HOW)
    reason = validation.text("reason", reason, 200)
    with audited(pairing.organisation):
        row = Pairing.objects.select_for_update(of=("self",)).get(pk=pairing.pk)
        if row.to_at is not None or row.identity != Pairing.Identity.MISMATCH:
            raise Conflict(_("This pairing has no mismatch any more; look again."))
        if how == "swap":
            return _swap(actor, row, reason)
        data: dict[str, object] = {"how": how, "reason": reason}
        if how == "accept":
            data["meter"] = _accept(actor, row, meter_id)
        _wait_anew(row)
        refresh_configuration(row.adapter)
        record(row.organisation, actor, "pairing.resolved", row, data)
    pairing.refresh_from_db()
    return pairing


def _accept(actor: Actor, pairing: Pairing, meter_id: str) -> list[str | None]:
    number = meter_id or _number_read(pairing)
    if not number:
        raise Invalid("meter_id", _("The meter's name tells no number; type the number that stands on it."))
    number = validation.identifier("meter_id", MeterId.parse, number)
    before = None if pairing.meter is None else pairing.meter.meter_id
    if number == before:
        raise Conflict(_("That is the number that was scanned; choose another way to resolve this."))
    elsewhere = Meter.objects.filter(organisation_id=pairing.organisation_id, meter_id=number, removed_at=None)
    other = elsewhere.exclude(metering_point=pairing.metering_point).first()
    if other is not None:
        if Pairing.objects.filter(metering_point=other.metering_point, to_at=None).exists():
            raise Conflict(_("Another adapter is paired with that meter; swap the two instead."))
        require_at(actor, other.organisation_id, other.metering_point.site_id, "pairing.end")
        _remove(actor, other)
    Pairing.objects.filter(pk=pairing.pk).update(meter=None)
    for old in pairing.metering_point.meters.filter(removed_at=None):
        _remove(actor, old)
    server_id = pairing.identity_read if _is_server_id(pairing, number) else ""
    pairing.meter = install_meter(actor, pairing.metering_point, meter_id=number, server_id=server_id)
    Pairing.objects.filter(pk=pairing.pk).update(meter=pairing.meter)
    return [before, number]


def _swap(actor: Actor, pairing: Pairing, reason: str) -> Pairing:
    number = _number_read(pairing)
    others = Pairing.objects.filter(
        organisation_id=pairing.organisation_id, meter__meter_id=number, register_group=pairing.register_group,
        to_at=None,
    )  # fmt: skip
    other = others.exclude(pk=pairing.pk).select_related("adapter", "metering_point__site", "meter").first()
    if not number or other is None:
        raise Conflict(_("No other pairing names the meter that was read; accept it, or move the adapter and retry."))
    require_at(actor, other.organisation_id, other.metering_point.site_id, "pairing.end")
    now = timezone.now()
    for row in (pairing, other):
        end_pairing(actor, row, now, reason or "swap")
    new = []
    for row, place in ((pairing, other), (other, pairing)):
        opened = open_pairing(
            actor, row.adapter, place.metering_point, place.meter, from_at=now, input=row.input,
            register_group=row.register_group, reason=reason, note=place.note, display_value=place.display_value,
            display_unit=place.display_unit, photo=place.photo,
        )  # fmt: skip
        steps.inherit(opened, row)
        new.append(opened)
    data = {
        "how": "swap",
        "reason": reason,
        "metering_point": [pairing.metering_point.name, other.metering_point.name],
        "with": other.adapter.dev_eui,
    }
    record(pairing.organisation, actor, "pairing.resolved", new[0], data)
    return new[0]


def _wait_anew(pairing: Pairing) -> None:
    unknown = Pairing.Identity.UNKNOWN
    Pairing.objects.filter(pk=pairing.pk).update(identity=unknown, identity_read="", identity_at=None)
    steps.forget(pairing, PairingStep.Step.IDENTITY, PairingStep.Step.READING)


def _remove(actor: Actor, meter: Meter) -> None:
    now = timezone.now()
    Meter.objects.filter(pk=meter.pk, removed_at=None).update(removed_at=max(now, meter.installed_at))
    record(meter.organisation, actor, "meter.removed", meter, {"metering_point": meter.metering_point.name})


def _number_read(pairing: Pairing) -> str:
    found = meter_of(bytes.fromhex(pairing.identity_read)) if pairing.identity_read else None
    return "" if found is None else str(found)


def _is_server_id(pairing: Pairing, number: str) -> bool:
    octets = bytes.fromhex(pairing.identity_read)
    return bool(octets) and octets[0] <= 0x0A and (meter_of(octets) is None or str(meter_of(octets)) == number)
