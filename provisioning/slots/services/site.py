"""A concentrator under its lock: its plan, what is taken there and at those that hear an adapter of it."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from provisioning.slots.lattice import MINUTES, Rectangle, line, rectangle
from provisioning.slots.models import Assignment, Neighbour, Occupancy, SlotPlan
from provisioning.slots.room import Place, Room, Wish


class Site:
    """Belongs to the transaction that made it. Locks are taken in the order of the concentrators' keys."""

    def __init__(self, concentrator: int, others: Collection[int] = (), adapter: int | None = None) -> None:
        """Lock also those that hear `adapter`; their plans exist since they were first found (services.neighbours)."""
        everyone = {concentrator, *others}
        plans = _locked(everyone, adapter)
        if not everyone <= plans.keys():
            SlotPlan.objects.bulk_create((SlotPlan(concentrator_id=pk) for pk in everyone), ignore_conflicts=True)
            plans = _locked(everyone, adapter)
        self.plan = plans[concentrator]
        self.hearers = plans.keys() - everyone
        self._concentrator = concentrator

    def room(self, hearers: Collection[int], without: Assignment | None = None) -> Room:
        """What is free for an adapter that `hearers` hear too; the place of `without` counts as free."""
        room = Room(self.plan.quantum_ms, self.plan.reserve)
        for concentrator in {self._concentrator, *hearers}:
            own = concentrator == self._concentrator
            rows = Occupancy.objects.filter(concentrator=concentrator)
            if not own:
                rows = rows.filter(served=True)
            if without is not None:
                rows = rows.exclude(assignment=without)
            base = line(concentrator, 0) * MINUTES
            for first, last, begin, end, served in rows.values_list("first", "last", "begin", "end", "served"):
                channel, within = divmod(first - base, MINUTES)
                taken = Rectangle(within, within + last - first, begin, end)
                room.take(channel, taken, own=own and served)
        return room

    def choose(self, room: Room, wish: Wish, near: Place | None = None) -> Place:
        """The best place there is; one that overlaps others when there is no free one."""
        return room.find(wish, near) or room.least_overlap(wish)


def _locked(concentrators: Collection[int], adapter: int | None) -> dict[int, SlotPlan]:
    wanted = Q(pk__in=concentrators)
    if adapter is not None:
        heard = Neighbour.objects.filter(adapter=adapter, expires_at__gt=timezone.now())
        wanted |= Q(pk__in=heard.values("concentrator"))
    return {row.pk: row for row in SlotPlan.objects.select_for_update().filter(wanted).order_by("pk")}


def hearers_of(adapters: Iterable[int], now: datetime) -> dict[int, set[int]]:
    """Which other concentrators hear each of these adapters."""
    found: dict[int, set[int]] = {}
    rows = Neighbour.objects.filter(adapter_id__in=list(adapters), expires_at__gt=now)
    for adapter, concentrator in rows.values_list("adapter_id", "concentrator_id"):
        found.setdefault(adapter, set()).add(concentrator)
    return found


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
