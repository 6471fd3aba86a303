"""What an actor may see of slots: the map of a concentrator, how much more fits, and whether a plan does."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet, Sum

from meterwire.slots import CHANNELS, MAX_DATA_RATE, Kind
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.fleet.access import within_reach
from provisioning.fleet.models import Concentrator
from provisioning.slots.lattice import MINUTE_MS, MINUTES, Rectangle, line
from provisioning.slots.models import Assignment, Neighbour, Occupancy, SlotPlan
from provisioning.slots.room import Room, Wish
from provisioning.slots.services.needs import checked_length

COLUMNS = ("adapter_id", "adapter__dev_eui", "channel", "phase_ms", "period_s", "data_rate", "guard_ms", "length_ms",
           "overlap_ms", "echoed_state")  # fmt: skip
MAX_PLANNED = 200_000


@dataclass(frozen=True, slots=True)
class Fullness:
    """Of a concentrator: shares of the time that are used and kept in reserve, slots, and those that overlap."""

    used: float
    reserve: float
    slots: int
    overlapping: int


@dataclass(frozen=True, slots=True)
class Group:
    """So many adapters with one data rate (0 to 5), telegram and period (s)."""

    count: int
    data_rate: int
    kind: Kind = Kind.VALUES
    period_s: int = 900


@dataclass(frozen=True, slots=True)
class Planned:
    """How many of the groups' adapters got a place, by group, and the share of the time that is used then."""

    placed: tuple[int, ...]
    used: float
    fits: bool


def visible_assignments(actor: Actor, organisation: Organisation | None = None) -> QuerySet[Assignment]:
    """Slots with their adapters, by adapter."""
    rows = Assignment.objects.filter(concentrator__isnull=False).select_related("adapter", "concentrator")
    return within_reach(rows, actor, organisation, "fleet.view", "adapter__site_id").order_by("pk")


def slot_map(concentrator: Concentrator) -> list[tuple[object, ...]]:
    """A row of COLUMNS for each slot at the concentrator, by channel and phase. The caller has checked the reach."""
    rows = Assignment.objects.filter(concentrator=concentrator).order_by("channel", "phase_ms")
    return list(rows.values_list(*COLUMNS))


def conflicts(concentrator: Concentrator) -> QuerySet[Neighbour]:
    """Adapters that this concentrator hears though another serves them, and whose slot meets one of its own."""
    return Neighbour.objects.filter(concentrator=concentrator, conflict=True).select_related("adapter__concentrator")


def fullness(concentrator: Concentrator) -> Fullness:
    """Counted in what slots take, guards included."""
    rows = Assignment.objects.filter(concentrator=concentrator)
    by_period = rows.values("period_s").annotate(length=Sum("length_ms"))
    busy = sum(row["length"] * (MINUTES * 60 // row["period_s"]) for row in by_period)
    counts = rows.aggregate(slots=Count("pk"), overlapping=Count("pk", filter=Q(overlap_ms__gt=0)))
    used = busy / (CHANNELS * MINUTES * MINUTE_MS)
    return Fullness(used, _plan(concentrator).reserve / 1000, counts["slots"], counts["overlapping"])


def how_many_fit(concentrator: Concentrator, *, kind: Kind = Kind.VALUES, period_s: int = 900) -> dict[int, int]:
    """Data rate -> how many more slots have room beside what is there; holes count as what they are."""
    room, plan = _room(concentrator), _plan(concentrator)
    groups = [Group(MAX_PLANNED, rate, kind, period_s) for rate in range(MAX_DATA_RATE + 1)]
    return {group.data_rate: _fill(room.copy(), plan, group) for group in groups}


def plan_before_building(groups: Sequence[Group], plan: SlotPlan | None = None) -> Planned:
    """Whether the groups fit at one concentrator that has nothing yet. Invalid for what is outside the plan."""
    plan = plan or SlotPlan()
    room = Room(plan.quantum_ms, plan.reserve)
    placed = tuple(_fill(room, plan, group) for group in groups)
    used = room.used * plan.quantum_ms / (CHANNELS * MINUTES * MINUTE_MS)
    return Planned(placed, used, all(got == group.count for got, group in zip(placed, groups, strict=True)))


def _fill(room: Room, plan: SlotPlan, group: Group) -> int:
    wish = Wish(checked_length(plan, group.period_s, group.kind.size, group.data_rate), group.period_s)
    return room.fill(wish, group.count)


def _plan(concentrator: Concentrator) -> SlotPlan:
    return SlotPlan.objects.filter(pk=concentrator.pk).first() or SlotPlan(concentrator=concentrator)


def _room(concentrator: Concentrator) -> Room:
    plan, base = _plan(concentrator), line(concentrator.pk, 0) * MINUTES
    room = Room(plan.quantum_ms, plan.reserve)
    rows = Occupancy.objects.filter(concentrator=concentrator)
    for first, last, begin, end, served in rows.values_list("first", "last", "begin", "end", "served"):
        channel, within = divmod(first - base, MINUTES)
        room.take(channel, Rectangle(within, within + last - first, begin, end), own=served)
    return room
