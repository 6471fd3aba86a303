"""A concentrator under its lock, with those that hear its adapters: slots are given here, and what changed is noted."""

import secrets
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import partial

from django.db import transaction

from provisioning.slots.allocator import Stored
from provisioning.slots.lattice import line, rectangle
from provisioning.slots.models import Assignment, Neighbour, Occupancy, SlotChange, SlotPlan
from provisioning.slots.services.memory import Given, World, memory
from provisioning.slots.services.opening import close_minute, takes_minute
from provisioning.slots.services.reading import KEPT_CHANGES

_TRIM_EVERY = 100


class Site:
    """Belongs to the transaction that made it. Locks are taken in the order of the concentrators' keys."""

    def __init__(self, concentrator: int, others: Collection[int] = ()) -> None:
        """`others`: all whose time is taken or given back too."""
        everyone = {concentrator, *others}
        plans = _locked(everyone)
        if not everyone <= plans.keys():
            SlotPlan.objects.bulk_create((SlotPlan(concentrator_id=pk) for pk in everyone), ignore_conflicts=True)
            plans = _locked(everyone)
        self.plan, self.plans = plans[concentrator], plans
        self._world: World | None = None
        self._minute_taken = False  # by what was given

    def give(
        self, wanted: Iterable[Sequence[Stored]], near: Stored | None = None, *, or_overlap: bool = True
    ) -> list[Given | None]:
        """Places for all, for one near where it is now (World.give); None where nothing is free, without `or_overlap`.

        They are known to this process only, until `changed` tells the others.
        """
        with memory.world(self.plan) as world:
            if world is not self._world:
                for plan in self.plans.values():
                    world.refresh(plan)
                self._world = world
            return [self._noted(rates, world.give(rates, near=near, or_overlap=or_overlap)) for rates in wanted]

    def _noted(self, rates: Sequence[Stored], given: Given | None) -> Given | None:
        if given is not None and not self._minute_taken:
            chosen = rates[given.chosen]
            self._minute_taken = takes_minute(given.place.phase_ms, chosen.period_s, chosen.length_ms)
        return given

    def changed(self, adapters: Collection[int], *, many: bool = False) -> None:
        """Note that slots of `adapters` came, went or changed at all concentrators of this lock; for `many` once."""
        if self._minute_taken:
            close_minute(self.plan)
        edition = secrets.randbits(62) + 1
        SlotPlan.objects.filter(pk__in=self.plans).update(edition=edition)
        names = [None] if many else adapters
        made = SlotChange.objects.bulk_create(
            SlotChange(concentrator_id=pk, edition=edition, adapter=name) for pk in self.plans for name in names
        )
        for pk, plan in self.plans.items():
            if self._world is not None:
                settle = partial(memory.settle, self._world, pk, plan.edition, edition, list(adapters))
                transaction.on_commit(settle)
            plan.edition = edition
            if any(row.pk % _TRIM_EVERY == 0 for row in made):
                _trim(pk)

    def forget(self) -> None:
        """What was in memory did not agree with the database: read everything again."""
        memory.forget()
        self._world = None


def hearers_of(adapters: Iterable[int], now: datetime) -> dict[int, set[int]]:
    """Which other concentrators hear each of these adapters."""
    found: dict[int, set[int]] = {}
    rows = Neighbour.objects.filter(adapter_id__in=list(adapters), expires_at__gt=now)
    for adapter, concentrator in rows.values_list("adapter_id", "concentrator_id"):
        found.setdefault(adapter, set()).add(concentrator)
    return found


def occupied_by(row: Assignment) -> set[int]:
    """The concentrators at which a slot takes time."""
    return set(Occupancy.objects.filter(assignment=row.pk).values_list("concentrator_id", flat=True))


def occupancies(row: Assignment, hearers: Collection[int]) -> Sequence[Occupancy]:
    """What a slot takes at its concentrator, and where else it is heard."""
    assert row.concentrator_id is not None
    rows = []
    for concentrator in sorted({row.concentrator_id, *hearers}):
        at = line(concentrator, row.channel)
        first, last, begin, end = rectangle(at, row.phase_ms, row.period_s, row.length_ms)
        served, shared = concentrator == row.concentrator_id, row.overlap_ms > 0
        rows.append(
            Occupancy(assignment=row, concentrator_id=concentrator, first=first, last=last, begin=begin, end=end,
                      served=served, shared=shared)
        )  # fmt: skip
    return rows


def _locked(concentrators: Collection[int]) -> dict[int, SlotPlan]:
    rows = SlotPlan.objects.select_for_update().filter(pk__in=concentrators).order_by("pk")
    return {row.pk: row for row in rows}


def _trim(concentrator: int) -> None:
    log = SlotChange.objects.filter(concentrator=concentrator).order_by("-pk")
    oldest = log.values_list("pk", flat=True)[KEPT_CHANGES : KEPT_CHANGES + 1].first()
    if oldest is not None:
        log.filter(pk__lte=oldest).order_by().delete()
