"""One adapter gets a slot, keeps it as long as nothing changes, and gives it back (patent [0150]; design 7)."""

from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.errors import ValueOutOfRange
from meterwire.slots import MAX_VERSION, PERIODS, Kind, length_ms
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.desired import adapter_changed, devices_changed
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.slots.models import Assignment, Neighbour, Occupancy, SlotPlan
from provisioning.slots.room import Place, Wish
from provisioning.slots.services.site import Site, occupancies


def assign(actor: Actor, adapter: Adapter, *, period_s: int, kind: Kind = Kind.VALUES, data_rate: int) -> Assignment:
    """Give the adapter a slot at its concentrator, or another one when what it needs has changed.

    Where nothing is free the slot with the least overlap is taken, `Assignment.overlap_ms`. Invalid for a period, kind
    or data rate outside the plan; Conflict for an adapter without concentrator, and for a foreign device.
    """
    require_at(actor, adapter.organisation_id, adapter.site_id, "fleet.edit")
    with audited(adapter.organisation):
        adapter.refresh_from_db(fields=["concentrator"])
        if adapter.concentrator_id is None or adapter.kind != Adapter.Kind.METERSPAN:
            raise Conflict(_("Only our adapters have slots, and only under a concentrator; put it under one first."))
        return put(actor, adapter, _held(adapter), period_s=period_s, size=kind.size, data_rate=data_rate)


def release(actor: Actor, adapter: Adapter) -> None:
    """The adapter's slot is free again; without one, nothing happens."""
    require_at(actor, adapter.organisation_id, adapter.site_id, "fleet.edit")
    with audited(adapter.organisation):
        take_back(actor, adapter, _held(adapter))


def change_rate(actor: Actor, adapter: Adapter, data_rate: int) -> Assignment:
    """Another data rate, and with it another length: within 1.8 s of the old phase where that is possible."""
    require_at(actor, adapter.organisation_id, adapter.site_id, "fleet.edit")
    with audited(adapter.organisation):
        row = _held(adapter)
        if row is None or row.concentrator_id is None:
            raise Conflict(_("This adapter has no slot; pair it under a concentrator first."))
        return put(actor, adapter, row, period_s=row.period_s, size=row.size, data_rate=data_rate)


def put(
    actor: Actor, adapter: Adapter, held: Assignment | None, *, period_s: int, size: int, data_rate: int,
    recorded: bool = False, announced: bool = False,
) -> Assignment:  # fmt: skip
    """The change of `assign` in the transaction of a service that has asked for permission and holds the chain.

    `held` is the adapter's present row, where it has one. `recorded`: the caller's own audit entry tells of the slot;
    `announced`: the caller has raised the device table's revision for this adapter.
    """
    assert adapter.concentrator_id is not None
    now = timezone.now()
    row = held or Assignment(adapter=adapter, organisation_id=adapter.organisation_id)
    old = row.concentrator_id
    site = Site(adapter.concentrator_id, () if old is None else (old,), adapter.pk)
    length = checked_length(site.plan, period_s, size, data_rate)
    needs = (adapter.concentrator_id, period_s, size, data_rate, site.plan.guard_ms, length)
    if needs == (row.concentrator_id, row.period_s, row.size, row.data_rate, row.guard_ms, row.length_ms):
        return row
    near = Place(row.channel, row.phase_ms) if (old, row.period_s) == (adapter.concentrator_id, period_s) else None
    wish = Wish(length, period_s)
    place = site.choose(site.room(site.hearers, row if old else None), wish, near)
    before = str(row)
    take(row, place, site.plan, wish, size=size, data_rate=data_rate, now=now)
    row.save(force_insert=held is None)
    if old:
        Occupancy.objects.filter(assignment=row).delete()
    Occupancy.objects.bulk_create(occupancies(row, site.hearers))
    if not place.overlap_ms:
        Neighbour.objects.filter(adapter=adapter, concentrator__in=site.hearers, conflict=True).update(conflict=False)
    if not recorded or old is not None:
        record(adapter.organisation, actor, "slot.moved" if old else "slot.assigned", adapter, _facts(row, before))
    note_fullness(actor, site.plan, place.overlap_ms > 0, now)
    if not announced:
        adapter_changed(adapter)
    return row


def take_back(actor: Actor, adapter: Adapter, row: Assignment | None) -> bool:
    """The change of `release` in a service's transaction; False when there was no slot. The version stays known."""
    if row is None or row.concentrator_id is None:
        return False
    concentrator, before = row.concentrator_id, str(row)
    site = Site(concentrator)
    Occupancy.objects.filter(assignment=row).delete()
    Neighbour.objects.filter(adapter=adapter).delete()
    row.concentrator, row.overlap_ms, row.proposed_rate, row.proposals = None, 0, None, 0
    row.save(update_fields=["concentrator", "overlap_ms", "proposed_rate", "proposals"])
    record(adapter.organisation, actor, "slot.released", adapter, {"slot": before})
    note_fullness(actor, site.plan, False, timezone.now())
    if adapter.concentrator_id == concentrator:  # else it was told when the adapter left
        devices_changed(concentrator, [adapter.dev_eui])
    return True


def take(
    row: Assignment, place: Place, plan: SlotPlan, wish: Wish, *, size: int, data_rate: int, now: datetime
) -> None:
    """Write a place at the plan's concentrator into `row`, unsaved, under the next version."""
    row.concentrator_id, row.channel, row.phase_ms = plan.pk, place.channel, place.phase_ms
    row.period_s, row.size, row.data_rate = wish.period_s, size, data_rate
    row.guard_ms, row.length_ms, row.overlap_ms = plan.guard_ms, wish.length_ms, place.overlap_ms
    row.version, row.assigned_at = row.version % MAX_VERSION + 1, now
    row.proposed_rate, row.proposals = None, 0


def checked_length(plan: SlotPlan, period_s: int, size: int, data_rate: int) -> int:
    """Milliseconds of a slot under `plan`. Invalid names the argument that is outside it."""
    if period_s not in PERIODS:
        shown = ", ".join(map(str, PERIODS))
        raise Invalid(
            "period_s", _("Slots repeat every {periods} s; choose one of these periods.").format(periods=shown)
        )
    try:
        return length_ms(size, data_rate, plan.guard_ms, plan.quantum_ms)
    except ValueOutOfRange as error:
        raise Invalid("data_rate", str(error)) from None


def note_fullness(actor: Actor, plan: SlotPlan, full: bool, now: datetime) -> None:
    """Remember since when there is no room at a concentrator; there is again when the last overlap has gone."""
    if full and plan.full_since is None:
        SlotPlan.objects.filter(pk=plan.pk, full_since=None).update(full_since=now)
        concentrator = Concentrator.objects.select_related("organisation").get(pk=plan.pk)
        record(concentrator.organisation, actor, "slot_plan.full", concentrator)
        return
    overlapping = Assignment.objects.filter(concentrator=plan.pk, overlap_ms__gt=0)
    if not full and plan.full_since is not None and not overlapping.exists():
        SlotPlan.objects.filter(pk=plan.pk).update(full_since=None)


def _held(adapter: Adapter) -> Assignment | None:
    return Assignment.objects.filter(adapter=adapter).first()


def _facts(row: Assignment, before: str) -> dict[str, object]:
    return {
        "before": before,
        "slot": str(row),
        "concentrator": row.concentrator_id,
        "data_rate": row.data_rate,
        "version": row.version,
        "overlap_ms": row.overlap_ms,
    }
