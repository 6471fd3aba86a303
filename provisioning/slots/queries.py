"""What an actor may see of slots: the map of a concentrator, how much more fits, and whether a plan does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone

from meterwire.slots import CHANNELS, FRAME_S, MAX_DATA_RATE, Kind
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.fleet.access import within_reach
from provisioning.fleet.models import Concentrator
from provisioning.slots.closed_time import closed, is_closed, open_time
from provisioning.slots.gaps import Gaps
from provisioning.slots.making_room import Gain, what_makes_room
from provisioning.slots.models import Assignment, Neighbour, Occupancy, SlotPlan
from provisioning.slots.services.needs import checked_length, slowest_rate
from provisioning.slots.services.plans import plan_of

__all__ = [
    "COLUMNS",
    "MAX_PLANNED",
    "Fullness",
    "Gain",
    "Group",
    "Planned",
    "closed_share",
    "conflicts",
    "fullness",
    "how_many_fit",
    "in_closed_time",
    "plan_before_building",
    "slot_map",
    "visible_assignments",
    "what_makes_room",
]
COLUMNS = ("adapter_id", "adapter__dev_eui", "channel", "phase_ms", "period_s", "data_rate", "guard_ms", "length_ms",
           "overlap_ms", "echoed_state")  # fmt: skip
MAX_PLANNED: Final = 200_000
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Fullness:
    """Of a concentrator: shares of the time that are used, kept in reserve, and the beacon's; slots, and those of them
    that overlap.
    """

    used: float
    reserve: float
    slots: int
    overlapping: int
    beacon: float = 0.0

    @property
    def free(self) -> float:
        return max(1 - self.used - self.reserve - self.beacon, 0.0)


@dataclass(frozen=True, slots=True)
class Group:
    """So many adapters with one data rate (0 to 5), telegram and period (s)."""

    count: int
    data_rate: int
    kind: Kind = Kind.VALUES
    period_s: int = 900


@dataclass(frozen=True, slots=True)
class Planned:
    """How many of the groups' adapters get a place, by group, and the share of the time that is used then.

    `fits` holds when those with short periods come first; `any_order` tells that it does not matter. Within the last
    hundredth of the time about one adapter in 500 shares some of its time with another one nevertheless. `too_often`:
    the groups, from 0 on, whose telegrams would be beyond the duty cycle; pairing gives them a faster data rate.
    """

    placed: tuple[int, ...]
    used: float
    fits: bool
    any_order: bool = False
    too_often: tuple[int, ...] = ()


def visible_assignments(actor: Actor, organisation: Organisation | None = None) -> QuerySet[Assignment]:
    """Slots with their adapters, by adapter."""
    rows = Assignment.objects.filter(concentrator__isnull=False).select_related("adapter", "concentrator")
    return within_reach(rows, actor, organisation, "fleet.view", "adapter__site_id").order_by("pk")


def slot_map(concentrator: Concentrator) -> list[tuple[object, ...]]:
    """A row of COLUMNS for each slot at the concentrator, by channel and phase. The caller has checked the reach."""
    rows = Assignment.objects.filter(concentrator=concentrator).order_by("channel", "phase_ms")
    return list(rows.values_list(*COLUMNS))


def conflicts(concentrator: Concentrator) -> QuerySet[Neighbour]:
    """Adapters that this concentrator hears though another one serves them, and whose slot meets one of its own."""
    believed = Neighbour.objects.filter(concentrator=concentrator, expires_at__gt=timezone.now())
    return believed.filter(conflict=True).select_related("adapter__concentrator")


def heard_at(concentrator: Concentrator) -> QuerySet[Assignment]:
    """Slots whose adapters this concentrator hears though another one serves them, or heard until lately."""
    return Assignment.objects.filter(pk__in=_elsewhere(concentrator))


def in_closed_time(concentrator: Concentrator) -> list[int]:
    """Adapters whose slots were given before the plan closed that time; their next slot lies elsewhere."""
    parts = closed(plan_of(concentrator))
    rows = Assignment.objects.filter(concentrator=concentrator).order_by("pk")
    figures = rows.values_list("pk", "phase_ms", "period_s", "length_ms")
    return [pk for pk, *slot in figures if is_closed(parts, *slot)]


def fullness(concentrator: Concentrator) -> Fullness:
    """Counted in what slots take, guards included."""
    plan, rows = plan_of(concentrator), Assignment.objects.filter(concentrator=concentrator)
    by_period = rows.values("period_s").annotate(length=Sum("length_ms"))
    busy_ms = sum(row["length"] * (86_400 // row["period_s"]) for row in by_period)
    counts = rows.aggregate(slots=Count("pk"), overlapping=Count("pk", filter=Q(overlap_ms__gt=0)))
    reserve = open_time(plan)
    share = 0.0 if reserve is None else reserve.length_ms / (reserve.period_s * 1000)
    beacon = closed_share(plan) - share if plan.beacon_period_s else 0.0
    return Fullness(busy_ms / (CHANNELS * _DAY_MS), share, counts["slots"], counts["overlapping"], beacon)


def how_many_fit(concentrator: Concentrator, *, kind: Kind = Kind.VALUES, period_s: int = 900) -> dict[int, int]:
    """Data rate -> how many more slots have room beside what is there; holes count as what they are."""
    plan = plan_of(concentrator)
    gaps = Gaps(plan.quantum_ms, closed(plan), _taken(concentrator))
    size = _size(plan, kind)
    lengths = {rate: checked_length(plan, period_s, size, rate) for rate in range(MAX_DATA_RATE + 1)}
    return {rate: gaps.count(length_ms, period_s) for rate, length_ms in lengths.items()}


def plan_before_building(groups: Sequence[Group], plan: SlotPlan | None = None) -> Planned:
    """Whether the groups fit at one concentrator that has nothing yet, its beacon and reserve counted.

    Short periods are placed first, because the others fit in between; else in the order given. Invalid for what is
    outside the plan.
    """
    plan = plan or SlotPlan()
    lengths = [checked_length(plan, group.period_s, _size(plan, group.kind), group.data_rate) for group in groups]
    placed = _placed(groups, lengths, plan, longest_first=False)
    parts = zip(groups, lengths, placed, strict=True)
    busy_ms = sum(length_ms * count * (86_400 // group.period_s) for group, length_ms, count in parts)
    wanted = tuple(group.count for group in groups)
    fits = placed == wanted
    any_order = fits and _placed(groups, lengths, plan, longest_first=True) == wanted
    too_often = tuple(
        number
        for number, group in enumerate(groups)
        if group.data_rate < slowest_rate(group.period_s, _size(plan, group.kind))
    )
    return Planned(placed, busy_ms / (CHANNELS * _DAY_MS), fits, any_order, too_often)


def closed_share(plan: SlotPlan) -> float:
    """The share of the time in which nobody has a slot."""
    return 1 - Gaps(plan.quantum_ms, closed(plan)).free_ms / (CHANNELS * FRAME_S * 1000)


def _placed(groups: Sequence[Group], lengths: Sequence[int], plan: SlotPlan, *, longest_first: bool) -> tuple[int, ...]:
    gaps, placed = Gaps(plan.quantum_ms, closed(plan)), [0] * len(groups)
    for at in sorted(range(len(groups)), key=lambda at: groups[at].period_s, reverse=longest_first):
        placed[at] = gaps.fill(lengths[at], groups[at].period_s, min(groups[at].count, MAX_PLANNED))
    return tuple(placed)


def _size(plan: SlotPlan, kind: Kind) -> int:
    """Values that carry the previous ones are longer."""
    return (Kind.VALUES_PREVIOUS if plan.previous and kind is Kind.VALUES else kind).size


def _taken(concentrator: Concentrator) -> Iterator[tuple[int, int, int, int]]:
    """What is served here, and what is heard here though another one serves it; of that, no time is left in turns."""
    figures = ("channel", "phase_ms", "period_s", "length_ms")
    yield from Assignment.objects.filter(concentrator=concentrator).values_list(*figures)
    over = Neighbour.objects.filter(concentrator=concentrator, expires_at__lte=timezone.now())
    heard = _elsewhere(concentrator) - set(over.values_list("adapter", flat=True))  # they make room when it is needed
    for channel, phase_ms, period_s, length_ms in Assignment.objects.filter(pk__in=heard).values_list(*figures):
        short_s = min(period_s, FRAME_S)
        yield channel, phase_ms % (short_s * 1000), short_s, length_ms


def _elsewhere(concentrator: Concentrator) -> set[int]:
    """Adapters that take time here though another one serves them."""
    # Two questions, not a join: right after an import PostgreSQL would go through all slots for each one of them.
    return set(Occupancy.objects.filter(concentrator=concentrator, served=False).values_list("assignment", flat=True))
