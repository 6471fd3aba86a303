"""One adapter gets a slot, keeps it as long as nothing changes, and gives it back (patent [0150]; design 7)."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.slots import MAX_VERSION, Kind
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict
from provisioning.fleet.access import require_at
from provisioning.fleet.desired import adapter_changed, devices_changed
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.slots.allocator.signal import LEVELS_DBM
from provisioning.slots.models import Assignment, Neighbour, Occupancy, SlotPlan
from provisioning.slots.services.memory import Given
from provisioning.slots.services.needs import Need, signal_of
from provisioning.slots.services.neighbours import forget_unheard, review_conflicts, settle_neighbours
from provisioning.slots.services.site import Site, hearers_of, occupancies, occupied_by

TRIES: Final = 3
# What `put` writes of a row: nothing that others note there meanwhile, as the address of a join.
TAKEN: Final = ("concentrator", "channel", "phase_ms", "period_s", "size", "data_rate", "guard_ms", "length_ms",
                "overlap_ms", "level_dbm", "version", "assigned_at", "proposed_rate", "proposals")  # fmt: skip


def assign(
    actor: Actor, adapter: Adapter, *, period_s: int, kind: Kind = Kind.VALUES, data_rate: int,
    level_dbm: float | None = None,
) -> Assignment:  # fmt: skip
    """Give the adapter a slot at its concentrator, or another one when what it needs has changed.

    Where nothing is free the slot with the least overlap is taken, `Assignment.overlap_ms`; one that has some is moved
    where room has come back. `level_dbm`: how loud the concentrator hears it, where that is known. Invalid for a
    period, kind or data rate outside the plan; Conflict for an adapter without concentrator, and for a foreign device.
    """
    require_at(actor, adapter.organisation_id, adapter.site_id, "fleet.edit")
    with audited(adapter.organisation):
        adapter.refresh_from_db(fields=["concentrator"])
        if adapter.concentrator_id is None or adapter.kind != Adapter.Kind.METERSPAN:
            raise Conflict(_("Only our adapters have slots, and only under a concentrator; put it under one first."))
        held = _held(adapter)
        return put(actor, adapter, held, period_s=period_s, size=kind.size, data_rate=data_rate, level_dbm=level_dbm)


def release(actor: Actor, adapter: Adapter) -> None:
    """The adapter's slot is free again; without one, nothing happens."""
    require_at(actor, adapter.organisation_id, adapter.site_id, "fleet.edit")
    with audited(adapter.organisation):
        take_back(actor, adapter, _held(adapter))


def change_rate(actor: Actor, adapter: Adapter, data_rate: int) -> Assignment:
    """Another data rate, and with it another length: within 1.8 s of the old phase where that is possible."""
    require_at(actor, adapter.organisation_id, adapter.site_id, "fleet.edit")
    with audited(adapter.organisation):
        adapter.refresh_from_db(fields=["concentrator"])
        row = _held(adapter)
        if row is None or row.concentrator_id is None or adapter.concentrator_id is None:
            raise Conflict(_("This adapter has no slot; pair it under a concentrator first."))
        return put(actor, adapter, row, period_s=row.period_s, size=row.size, data_rate=data_rate)


def put(
    actor: Actor, adapter: Adapter, held: Assignment | None, *, period_s: int, size: int, data_rate: int,
    level_dbm: float | None = None, recorded: bool = False, announced: bool = False,
) -> Assignment:  # fmt: skip
    """The change of `assign` in the transaction of a service that has asked for permission and holds the chain.

    `held` is the adapter's present row, where it has one. `recorded`: the caller's own audit entry tells of the slot;
    `announced`: the caller has raised the device table's revision for this adapter.
    """
    assert adapter.concentrator_id is not None
    now = timezone.now()
    row = held or Assignment(adapter=adapter, organisation_id=adapter.organisation_id)
    old, version, before = row.concentrator_id, row.version, str(row)
    heard_at = hearers_of([adapter.pk], now).get(adapter.pk, set())
    hearers = heard_at - {adapter.concentrator_id}
    left = occupied_by(row) if held is not None else set()
    site = Site(adapter.concentrator_id, hearers | left)
    louder = _note_level(row, level_dbm, old == adapter.concentrator_id)
    needs = Need.under(site.plan, period_s, size, data_rate).slower(site.plan)
    same = old == adapter.concentrator_id and needs[0].met_by(row)
    if louder and held is not None:
        Assignment.objects.filter(pk=row.pk).update(level_dbm=row.level_dbm)
    if same and not row.overlap_ms:
        return row
    forget_unheard(site, now)
    wishes, near = [need.wish(row, adapter.concentrator_id, hearers) for need in needs], None
    if (old, row.period_s) == (adapter.concentrator_id, period_s):
        held_signal = signal_of(row.data_rate, row.level_dbm, row.guard_ms)
        near = wishes[0]._replace(place=row.place, length_ms=row.length_ms, signal=held_signal)
    # Another guard is worth no overlap. Who lies over others was given its rate knowingly: a faster one is worth none.
    enough = near is not None and row.size == size and row.data_rate <= data_rate
    or_overlap = not (enough and (row.overlap_ms > 0 or row.data_rate == data_rate))
    margin_db = 0.0
    for tried in range(TRIES):
        (given,) = site.give([wishes], near, or_overlap=or_overlap)
        if given is None:
            if tried:
                row.refresh_from_db()  # it keeps what it has, not what was refused
            return row
        take(row, given, adapter.concentrator_id, needs[given.chosen], now)
        margin_db = given.margin_db
        if _written(row, hearers, new=held is None):
            break
        site.forget()  # somebody wrote without telling; the database knows better than we
        row.version = version
        if tried == TRIES - 1:
            raise Conflict(_("This slot could not be stored; try again."))
    site.changed([adapter.pk])
    review_conflicts(left)
    if held is not None or heard_at:
        settle_neighbours(row)
    if not recorded or old is not None:
        facts = {**_facts(row, before), **({"margin_db": margin_db} if row.overlap_ms else {})}
        record(adapter.organisation, actor, "slot.moved" if old else "slot.assigned", adapter, facts)
    for plan in site.plans.values():  # one may have lost the last that lay over others
        note_fullness(actor, plan, plan is site.plan and row.overlap_ms > 0, now)
    if not announced:
        adapter_changed(adapter)
    return row


def take_back(actor: Actor, adapter: Adapter, row: Assignment | None) -> bool:
    """The change of `release` in a service's transaction; False when there was no slot. The version stays known."""
    if row is None or row.concentrator_id is None:
        return False
    concentrator, before = row.concentrator_id, str(row)
    left = occupied_by(row)
    site = Site(concentrator, left)
    Occupancy.objects.filter(assignment=row).delete()
    Neighbour.objects.filter(adapter=adapter).delete()
    review_conflicts(left)
    row.concentrator, row.overlap_ms, row.proposed_rate, row.proposals = None, 0, None, 0
    row.level_dbm = None
    row.save(update_fields=["concentrator", "overlap_ms", "proposed_rate", "proposals", "level_dbm"])
    site.changed([adapter.pk])
    record(adapter.organisation, actor, "slot.released", adapter, {"slot": before})
    note_fullness(actor, site.plan, False, timezone.now())
    if adapter.concentrator_id == concentrator:  # else it was told when the adapter left
        devices_changed(concentrator, [adapter.dev_eui])
    return True


def take(row: Assignment, given: Given, concentrator: int, need: Need, now: datetime) -> None:
    """Write a place at a concentrator into `row`, unsaved, under the next version."""
    row.concentrator_id, row.channel, row.phase_ms = concentrator, given.place.channel, given.place.phase_ms
    row.period_s, row.size, row.data_rate = need.period_s, need.size, need.data_rate
    row.guard_ms, row.length_ms, row.overlap_ms = need.guard_ms, need.length_ms, given.overlap_ms
    row.version, row.assigned_at = row.version % MAX_VERSION + 1, now
    row.proposed_rate, row.proposals = None, 0


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


def _written(row: Assignment, hearers: Collection[int], *, new: bool) -> bool:
    """Store a slot and what it occupies; False when the database knows of another one there."""
    try:
        with transaction.atomic():
            row.save(force_insert=new, update_fields=None if new else TAKEN)
            if not new:
                Occupancy.objects.filter(assignment=row).delete()
            Occupancy.objects.bulk_create(occupancies(row, hearers))
    except IntegrityError:
        return False
    return True


def _note_level(row: Assignment, level_dbm: float | None, here: bool) -> bool:
    """Keep how loud the concentrator hears the adapter; what another one heard says nothing here. True: it changed."""
    before = row.level_dbm
    if level_dbm is not None:
        row.level_dbm = min(max(round(level_dbm), LEVELS_DBM[0]), LEVELS_DBM[1])
    elif not here:
        row.level_dbm = None
    return row.level_dbm != before


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
