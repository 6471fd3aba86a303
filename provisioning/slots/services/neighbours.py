"""Concentrators that hear adapters which others serve; what that means for slots is told, and nothing moves."""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils import timezone

from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.slots.models import Assignment, Neighbour, Occupancy
from provisioning.slots.services.site import Site, occupancies

KEPT = timedelta(days=14)
MAX_NEIGHBOURS = 8  # of one adapter
AT_ONCE = 500  # that are forgotten


def heard_by(actor: Actor, adapter: Adapter, concentrator: Concentrator, at: datetime, rssi: float | None) -> bool:
    """Note that a concentrator which does not serve the adapter heard it at `at`; True when that brings a conflict.

    A new neighbour's time is taken where it is free; one that is no longer believed is new. Where the slot meets
    another one there it is marked, and cured by the adapter's next slot. What waited at its concentrator for longer
    than it is believed takes no time. Concentrators of other organisations do not count.
    """
    if concentrator.organisation_id != adapter.organisation_id or concentrator.pk == adapter.concentrator_id:
        return False
    now = timezone.now()
    at = min(at, now)
    expires, known = at + KEPT, Neighbour.objects.filter(adapter=adapter)
    believed = known.filter(expires_at__gt=now)
    # What waited for weeks at its concentrator makes nobody new, and older news does not end what newer tells.
    same = (believed if expires > now else known).filter(concentrator=concentrator)
    if same.filter(expires_at__lte=expires).update(heard_at=at, expires_at=expires, rssi=rssi) or same.exists():
        return False
    with audited(adapter.organisation):
        if believed.count() >= MAX_NEIGHBOURS:
            return False
        row = Assignment.objects.filter(adapter=adapter, concentrator__isnull=False).first()
        site = Site(concentrator.pk)
        conflict = False
        if row is not None and expires > now:
            conflict = _occupy(row, concentrator.pk)
            site.changed([adapter.pk])
        known.filter(concentrator=concentrator).delete()
        neighbour = Neighbour(adapter=adapter, concentrator=concentrator, rssi=rssi, heard_at=at, expires_at=expires)
        neighbour.conflict = conflict
        neighbour.save(force_insert=True)
        data = {"concentrator": concentrator.eui, "conflict": conflict}
        record(adapter.organisation, actor, "slot.neighbour_found", adapter, data)
    return conflict


def settle_neighbours(row: Assignment) -> None:
    """After the row's slot was stored: its concentrator is no neighbour, and in conflict is where it meets others."""
    known = Neighbour.objects.filter(adapter=row.adapter_id)
    known.filter(concentrator=row.concentrator_id).delete()
    known.filter(conflict=True).update(conflict=False)
    if row.overlap_ms:
        laid = Occupancy.objects.filter(assignment=row.pk, served=False)
        met = [one.concentrator_id for one in laid if _met(one).exists()]
        known.filter(concentrator__in=met).update(conflict=True)


def forget_unheard(site: Site, now: datetime) -> None:
    """What is no longer believed to be heard at the site's concentrators gives its time there back."""
    over = Neighbour.objects.filter(concentrator__in=site.plans, expires_at__lte=now).order_by("pk")[:AT_ONCE]
    gone: dict[int, list[int]] = {}
    for adapter, concentrator in over.values_list("adapter_id", "concentrator_id"):
        gone.setdefault(concentrator, []).append(adapter)
    for concentrator, adapters in gone.items():
        Occupancy.objects.filter(concentrator=concentrator, assignment__in=adapters, served=False).delete()
        Neighbour.objects.filter(concentrator=concentrator, adapter__in=adapters).delete()
    if gone:
        site.changed({adapter for adapters in gone.values() for adapter in adapters})


def review_conflicts(concentrators: Collection[int]) -> None:
    """After slots went or moved at these concentrators: conflicts there of which nothing is left are over."""
    for one in Neighbour.objects.filter(concentrator__in=concentrators, conflict=True):
        taken = Occupancy.objects.filter(assignment=one.adapter_id, concentrator=one.concentrator_id)
        laid = taken.select_related("assignment").first()
        if laid is None or not _met(laid).exists():
            Neighbour.objects.filter(pk=one.pk).update(conflict=False)
            taken.filter(assignment__overlap_ms=0).update(shared=False)


def _occupy(row: Assignment, concentrator: int) -> bool:
    """Take the slot's time at a neighbour; True when others that are served there meet it."""
    new = next(one for one in occupancies(row, [concentrator]) if one.concentrator_id == concentrator)
    Occupancy.objects.filter(assignment=row, concentrator=concentrator).delete()  # of when it was believed before
    met = _met(new).exists()
    new.shared = new.shared or met
    new.save(force_insert=True)
    return met


def _met(laid: Occupancy) -> QuerySet[Occupancy]:
    """What else is served at its concentrator at the same time."""
    return Occupancy.objects.filter(
        concentrator=laid.concentrator_id, served=True, first__lt=laid.last, last__gt=laid.first, begin__lt=laid.end,
        end__gt=laid.begin,
    ).exclude(assignment=laid.assignment_id)  # fmt: skip
