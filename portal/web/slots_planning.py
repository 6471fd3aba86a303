"""Planning before building: groups of meters as people describe them, whether they fit, and what would help."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from meterwire.slots import MAX_DATA_RATE, PERIODS, Kind
from portal.web import figures
from portal.web.slots_room import bar, percent
from provisioning.slots.models import SlotPlan
from provisioning.slots.queries import Group, closed_share, plan_before_building

MAX_CONCENTRATORS = 12  # more are not looked for
TIGHT_GUARD_MS = 20  # what a beacon keeps clocks within (design 7)
BEACON_S = 900
# Shares in per cent by data rate, DR5 first: kinds of sites that the simulations of docs/performance.md know.
MIXES: dict[str, tuple[int, ...]] = {
    "dense": (99, 1, 0, 0, 0, 0),
    "mixed": (71, 9, 7, 6, 4, 3),
    "far": (44, 11, 12, 12, 11, 10),
}
DISTANCES: list[tuple[str, str | Promise]] = [
    *((str(rate), figures.rate(rate)) for rate in range(MAX_DATA_RATE, -1, -1)),
    ("dense", gettext_lazy("near: nearly all SF7")),
    ("mixed", gettext_lazy("mixed: 71 % SF7 to 3 % SF12")),
    ("far", gettext_lazy("far: 44 % SF7 to 10 % SF12")),
]
KINDS: list[tuple[int, str | Promise]] = [
    (Kind.VALUES, gettext_lazy("readings")),
    (Kind.LMN, gettext_lazy("readings for a gateway (LMN)")),
    (Kind.STATIC, gettext_lazy("everything the meter tells")),
]


@dataclass(frozen=True, slots=True)
class Meters:
    """So many meters alike: `distance` is a data rate or one of MIXES."""

    count: int
    distance: str
    period_s: int = 900
    kind: int = Kind.VALUES

    def groups(self) -> list[Group]:
        """By data rate; what rounding leaves over goes to the fastest one."""
        kind = Kind(self.kind)
        if self.distance not in MIXES:
            return [Group(self.count, int(self.distance), kind, self.period_s)]
        parts = [self.count * share // 100 for share in MIXES[self.distance]]
        parts[0] += self.count - sum(parts)
        return [Group(n, MAX_DATA_RATE - k, kind, self.period_s) for k, n in enumerate(parts) if n]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out: placed and wanted by row, whether it holds in `any_order`, and (where not all fit) what helps.

    `too_often`: what would have a place, and no right to send that often.
    """

    rows: list[tuple[Meters, int]]
    used: float
    reserve: float
    fits: bool
    any_order: bool
    helps: list[str]
    too_often: list[str]

    @property
    def bar(self) -> SafeString:
        return bar(self.used, self.reserve)

    @property
    def used_percent(self) -> str:
        return percent(self.used)

    @property
    def total(self) -> int:
        return sum(meters.count for meters, _placed in self.rows)

    @property
    def placed(self) -> int:
        return sum(placed for _meters, placed in self.rows)


def planned(meters: Sequence[Meters], plan: SlotPlan) -> Outcome:
    """Try it at one empty concentrator. Invalid for what no slot can be."""
    groups = [row.groups() for row in meters]
    found = plan_before_building([group for row in groups for group in row], plan)
    left = iter(found.placed)
    placed = [sum(next(left) for _group in row) for row in groups]
    helps = [] if found.fits else _helps(meters, plan)
    rows = list(zip(meters, placed, strict=True))
    flat = [group for row in groups for group in row]
    too_often = _too_often([flat[number] for number in found.too_often])
    return Outcome(rows, found.used, closed_share(plan), found.fits, found.any_order, helps, too_often)


def _too_often(groups: Sequence[Group]) -> list[str]:
    """By period, the data rates at which pairing gives no slot: their telegrams would be beyond the duty cycle."""
    found: dict[int, set[int]] = {}
    for group in groups:
        found.setdefault(group.period_s, set()).add(group.data_rate)
    text = _(
        "At {rates} a telegram every {time} is more than the duty cycle allows: such adapters get a faster rate, at "
        "which they may not be heard. Choose a longer period."
    )
    return [
        text.format(rates=", ".join(map(figures.rate, sorted(rates, reverse=True))), time=figures.span(period_s))
        for period_s, rates in sorted(found.items())
    ]


def _fit(meters: Sequence[Meters], plan: SlotPlan) -> bool:
    return plan_before_building([group for row in meters for group in row.groups()], plan).fits


def _helps(meters: Sequence[Meters], plan: SlotPlan) -> list[str]:
    """What alone would be enough, and how many concentrators would."""
    found = []
    if plan.guard_ms > TIGHT_GUARD_MS:
        tight = SlotPlan(
            quantum_ms=plan.quantum_ms, guard_ms=TIGHT_GUARD_MS, reserve=plan.reserve, previous=plan.previous,
            beacon_period_s=plan.beacon_period_s or BEACON_S, beacon_data_rate=plan.beacon_data_rate,
        )  # fmt: skip
        if _fit(meters, tight):
            text = (
                _("a guard of {ms} ms, which the beacon allows")
                if plan.beacon_period_s
                else _("a beacon every {time}, which allows a guard of {ms} ms")
            )
            found.append(text.format(time=figures.span(BEACON_S), ms=TIGHT_GUARD_MS))
    faster = [replace(row, distance=str(min(MAX_DATA_RATE, int(row.distance) + 1)))
              if row.distance not in MIXES else row for row in meters]  # fmt: skip
    if faster != list(meters) and _fit(faster, plan):
        found.append(_("a better place for the antenna: every adapter one rate faster"))
    longer = [replace(row, period_s=PERIODS[PERIODS.index(row.period_s) + 1]) for row in meters
              if row.period_s != PERIODS[-1]]  # fmt: skip
    if len(longer) == len(meters) and _fit(longer, plan):
        found.append(_("the next longer period for all of them"))
    for n in range(2, MAX_CONCENTRATORS + 1):
        share = [replace(row, count=-(-row.count // n)) for row in meters]
        if _fit(share, plan):
            text = ngettext("{n} concentrator that does not hear the others", "{n} concentrators that hear each other "
                            "little, with equal shares", n)  # fmt: skip
            found.append(text.format(n=n))
            break
    return found
