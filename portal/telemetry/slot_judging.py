"""What is wrong with how an adapter keeps its slot, judged from the last days. Pure.

A guard is in trouble from 70 % use until it is back under 50 %, so that an alarm neither flickers nor comes too late.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from portal.telemetry.slots import DELIVERED, DRIFTS_PPB, KEPT_SHARE, OVER

UNDER: Final = 0.5  # of the guard: it is well again
CURRENT: Final = 3  # days; an adapter of which nothing newer is known is silent, which is another matter
FEW_OUTSIDE: Final = 8  # telegrams outside of its slot that every adapter may send on two days: reports, keys, clock
FEW_EXPECTED: Final = 40  # slots; of fewer a twentieth is lost by chance
SETTLING: Final = timedelta(days=2)  # a new slot reaches its adapter within that; a daily report tells that it did
LEAST_TREND: Final = 0.005  # of the guard and day; slower ones are noise
FEWEST_POINTS: Final = 4
FURTHEST: Final = 365  # days; what lies behind is not told


class Slot(NamedTuple):
    """What is known of the slot that an adapter has now."""

    adapter: int
    dev_eui: str
    concentrator: int
    version: int
    echoed_version: int | None
    assigned_at: datetime


class Day(NamedTuple):
    """What is judged of a SlotDay."""

    day: date
    guard_ms: int
    inside: int
    outside: int
    expected: int
    arrived: int
    collided: int
    early_ms: float | None
    late_ms: float | None
    rate_ppb: int | None
    uncertainty_ms: float | None

    @property
    def used(self) -> float | None:
        """Share of the guard, as SlotDay.used."""
        if not self.guard_ms or self.early_ms is None or self.late_ms is None:
            return None
        return max(self.early_ms, self.late_ms) / self.guard_ms


class Finding(NamedTuple):
    """As portal.telemetry.slot_queries.Trouble."""

    kind: str
    since: date
    figure: float


def judge(slot: Slot, days: Sequence[Day], now: datetime, today: date) -> list[Finding]:
    """What is wrong with one adapter, the worst first; `days` of this slot in order of time, at least one."""
    if days[-1].day <= today - timedelta(days=CURRENT):
        return []
    found = [one for one in (_outside(days, today), _lost(days, today), _guard(days), _drift(days)) if one is not None]
    if slot.echoed_version != slot.version and now - slot.assigned_at < SETTLING:
        return [one for one in found if one.kind == "drift"]  # it may not know its slot yet
    if found and found[0].kind == "outside":
        return [one for one in found if one.kind != "lost"]  # in a slot that is not kept nothing is lost
    return found


def days_left(days: Sequence[Day], today: date) -> float | None:
    """From today on, by a straight line through the shares of the guard used on days that are over; None where they do
    not grow, or too few are known.
    """
    points = [(float(one.day.toordinal()), one.used) for one in days if one.used is not None and one.day < today]
    if len(points) < FEWEST_POINTS or points[-1][1] >= 1:
        return None
    x = sum(day for day, _ in points) / len(points)
    y = sum(used for _, used in points) / len(points)
    slope = sum((day - x) * (used - y) for day, used in points) / sum((day - x) ** 2 for day, _ in points)
    if slope < LEAST_TREND:
        return None
    left = points[-1][0] + (1 - points[-1][1]) / slope - today.toordinal()
    return max(left, 0.0) if left <= FURTHEST else None


def _guard(days: Sequence[Day]) -> Finding | None:
    since, figure = None, 0.0
    for one in days:
        if one.used is None:
            continue
        figure = one.used
        if figure > OVER:
            since = since or one.day
        elif figure < UNDER:
            since = None
    return None if since is None else Finding("guard", since, figure)


def _drift(days: Sequence[Day]) -> Finding | None:
    since, figure = None, 0.0
    for one in days:
        if one.rate_ppb is not None:
            figure = one.rate_ppb / 1000
            since = (since or one.day) if abs(one.rate_ppb) > DRIFTS_PPB else None
    return None if since is None else Finding("drift", since, figure)


def _outside(days: Sequence[Day], today: date) -> Finding | None:
    late = [one for one in days if one.day > today - timedelta(days=2)]
    inside, outside = sum(one.inside for one in late), sum(one.outside for one in late)
    if outside < FEW_OUTSIDE or inside > KEPT_SHARE * (inside + outside):
        return None
    since = _begin(days, lambda one: one.inside > KEPT_SHARE * (one.inside + one.outside))
    return Finding("outside", since, outside / (inside + outside))


def _lost(days: Sequence[Day], today: date) -> Finding | None:
    late = [one for one in days if one.day > today - timedelta(days=CURRENT)]
    expected, arrived = sum(one.expected for one in late), sum(one.arrived for one in late)
    if expected < FEW_EXPECTED or not arrived or arrived >= DELIVERED * expected:
        return None
    since = _begin(days, lambda one: one.arrived >= DELIVERED * one.expected)
    return Finding("lost", since, arrived / expected)


def _begin(days: Sequence[Day], well: Callable[[Day], bool]) -> date:
    """The first of the days since the last one that was well; the last day of all where that is so itself."""
    since = days[-1].day
    for one in reversed(days):
        if well(one):
            break
        since = one.day
    return since
