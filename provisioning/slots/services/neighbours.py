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


def heard_by(actor: Actor, adapter: Adapter, concentrator: Concentrator, at: datetime, rssi: float | None) -> bool:
    """Note that a concentrator which does not serve the adapter heard it at `at`; True when that brings a conflict.

    A new neighbour's time is taken where it is free; one that is no longer believed is new. Where the slot meets
    another one there it is marked, and cured by the adapter's next slot. Concentrators of other organisations do not
    count.
    """
    if concentrator.organisation_id != adapter.organisation_id or concentrator.pk == adapter.concentrator_id:
        return False
    now = timezone.now()
    expires, known = min(at, now) + KEPT, Neighbour.objects.filter(adapter=adapter)
    believed = known.filter(expires_at__gt=now)
    # What waited for weeks at its concentrator makes nobody new.
    same = (believed if expires > now else known).filter(concentrator=concentrator)
    if same.update(heard_at=at, expires_at=expires, rssi=rssi):
        return False
    with audited(adapter.organisation):
        if believed.count() >= MAX_NEIGHBOURS:
            return False
        row = Assignment.objects.filter(adapter=adapter, concentrator__isnull=False).first()
        site = Site(concentrator.pk)
        conflict = False
        if row is not None:
            conflict = _occupy(row, concentrator.pk)
            site.changed([adapter.pk])
        known.filter(concentrator=concentrator).delete()
        neighbour = Neighbour(adapter=adapter, concentrator=concentrator, rssi=rssi, heard_at=at, expires_at=expires)
        neighbour.conflict = conflict
        neighbour.save(force_insert=True)
        data = {"concentrator": concentrator.eui, "conflict": conflict}
        record(adapter.organisation, actor, "slot.neighbour_found", adapter, data)
    return conflict


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
    new.shared = new.shared or _met(new).exists()
    new.save(force_insert=True)
    return new.shared


def _met(laid: Occupancy) -> QuerySet[Occupancy]:
    """What is served at its concentrator at the same time."""
    return Occupancy.objects.filter(
        concentrator=laid.concentrator_id, served=True, first__lt=laid.last, last__gt=laid.first, begin__lt=laid.end,
        end__gt=laid.begin,
    )  # fmt: skip
