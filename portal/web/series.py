"""Chart data: one group of registers of an adapter over an hour, a day, a week or a month.

An hour and a day are drawn from single readings, a week and a month from hours: rolled up where the roll-up has run,
from single readings after that. Counters become the mean power between readings, then consumption per hour and per day.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from math import gcd
from typing import Any, Literal

from django.db.models import Q
from django.utils import timezone

from portal.telemetry.models import HourRollup, Reading
from portal.telemetry.sealed_asking import has_sealed
from portal.telemetry.unix import UnixSeconds
from portal.web.figures import day_of
from portal.web.registers import Places, Shown, measured, shown
from portal.web.sealed import Opening
from provisioning.fleet.models import Adapter

Range = Literal["hour", "day", "week", "month"]
View = Literal["flow", "counter"]
HOUR = timedelta(hours=1)
SURE_STEPS, SURE_SECONDS = 8, 180  # of the counters, and the longest that is waited for them
HOURS: dict[Range, int] = {"hour": 1, "day": 24}
DAYS: dict[Range, int] = {"week": 7, "month": 30}
MAX_POINTS = 300  # per register in a day; more are thinned to their means
MAX_ROWS = 40_000
ROUNDING = timedelta(milliseconds=1)  # of moments that were numbers in between
LOOK_BACK = timedelta(hours=3)  # a counter's first interval begins before the window
COARSE = 1000  # a counter that only moves in steps this large is drawn between its moves

Point = tuple[float, int]  # Unix seconds, stored integer


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of time shown; up to a day it ends now or where the page was turned to, longer ones at midnight."""

    range: Range
    start: datetime
    end: datetime
    newest: bool

    @classmethod
    def of(cls, range_: str, end: str, now: datetime) -> "Window":
        """From the query; whatever cannot be read means the newest day."""
        kind: Range = range_ if range_ in HOURS | DAYS else "day"
        until = min(_moment(end) or now, now)
        if kind in HOURS:
            return cls(kind, until - timedelta(hours=HOURS[kind]), until, until == now)
        until = day_of(until, -1)
        return cls(kind, day_of(until, DAYS[kind]), until, until > now)

    @property
    def before(self) -> datetime:
        """The end of the window before this one."""
        return self.start if self.range in HOURS else self.start - timedelta(seconds=1)

    @property
    def after(self) -> datetime:
        """The end of the window after this one."""
        return self.end + (self.end - self.start) - timedelta(seconds=0 if self.range in HOURS else 1)


@dataclass
class Line:
    """One register's points; `values` run parallel to the chart's `x`."""

    name: str
    unit: str
    digits: int
    points: dict[float, float | None] = field(default_factory=dict)


@dataclass
class Chart:
    """`kind` says how the values lie between the points: a step back to the last, a bar from the point, a line."""

    kind: Literal["steps", "bars", "line"]
    lines: list[Line]
    sealed: int = 0
    width: float = 0

    def as_json(self) -> dict[str, Any]:
        """Columns, as the plotting library wants them."""
        x = sorted({t for line in self.lines for t in line.points})
        return {
            "kind": self.kind,
            "sealed": self.sealed,
            "width": self.width,
            "x": x,
            "series": [
                {
                    "name": line.name,
                    "unit": line.unit,
                    "digits": line.digits,
                    "values": [line.points.get(t) for t in x],
                }
                for line in self.lines
            ],
        }


def groups(numbers: Iterable[int], places: Places) -> dict[str, list[Shown]]:
    """The registers by chart, charts in the order of their first register."""
    found: dict[str, list[Shown]] = {}
    for number in sorted(numbers):
        if measured(number):
            one = shown(number, places)
            found.setdefault(one.group, []).append(one)
    return found


def chart(
    adapter: Adapter, registers: Sequence[Shown], window: Window, view: View, opening: Opening | None = None
) -> Chart:
    """The chart of some registers of one group; sealed values are counted, or opened with `opening`."""
    if window.range in HOURS:
        return _of_day(adapter, registers, window, view, opening)
    return _of_hours(adapter, registers, window, view, opening)


def _of_day(adapter: Adapter, registers: Sequence[Shown], window: Window, view: View, opening: Opening | None) -> Chart:
    back = LOOK_BACK if view == "flow" else timedelta(0)
    rows, sealed = _readings(adapter, registers, window.start - back, window.end, opening)
    flow = view == "flow" and all(r.counter for r in registers)
    if flow:
        rows = _sure(rows)
    lines = []
    for register in registers:
        points = rows.get(register.number, [])
        if flow:
            values = _power(points, register, window)
            lines.append(Line(register.name, register.rate_unit, register.rate_digits, values))
        else:
            inside = [(t, v) for t, v in points if t >= window.start.timestamp()]
            lines.append(Line(register.name, register.unit, register.digits, _thinned(inside, register, window)))
    return Chart("steps" if flow else "line", lines, sealed)


def _sure(rows: dict[int, list[Point]]) -> dict[int, list[Point]]:
    """The points between which the counters together made some steps, at the same moments for all registers.

    Readings that follow each other quickly say little: a single step of 1 Wh in half a minute looks like 120 W,
    whatever flows.
    """
    moments: set[float] = set()
    last: dict[int, int] = {}
    since, steps = float("-inf"), 0
    for t, register, value in sorted((t, register, value) for register, points in rows.items() for t, value in points):
        gained = value - last.get(register, value)
        last[register] = value
        steps += gained if gained >= 0 else SURE_STEPS
        if steps >= SURE_STEPS or t - since >= SURE_SECONDS:
            moments.add(t)
            since, steps = t, 0
    return {register: [p for p in points if p[0] in moments] for register, points in rows.items()}


def _power(points: list[Point], register: Shown, window: Window) -> dict[float, float | None]:
    """Mean power up to each point; a null where the counter went back, as another meter's does."""
    points = _moves(points)
    least = (window.end - window.start).total_seconds() / MAX_POINTS
    values: dict[float, float | None] = {}
    last: Point | None = None
    for t, value in points:
        if last is None:
            last = (t, value)
            if t >= window.start.timestamp():
                values[t] = None
        elif value < last[1]:
            values[t] = None
            last = (t, value)
        elif t - last[0] >= least:
            if t >= window.start.timestamp():
                values[t] = round((value - last[1]) * register.rate_factor / (t - last[0]), register.rate_digits + 1)
            last = (t, value)
    return values


def _moves(points: list[Point]) -> list[Point]:
    """Of a meter that shows whole kilowatt hours only, the points at which it moved."""
    step = 0
    for (_t, a), (_u, b) in pairwise(points):
        step = gcd(step, b - a)
        if step and step < COARSE:
            return points
    if step < COARSE:
        return points
    return points[:1] + [b for a, b in pairwise(points) if b[1] != a[1]]


def _thinned(points: list[Point], register: Shown, window: Window) -> dict[float, float | None]:
    if len(points) <= 2 * MAX_POINTS:
        return {t: _value(v, register) for t, v in points}
    if register.counter:
        every = len(points) // MAX_POINTS
        return {t: _value(v, register) for t, v in points[::every] + points[-1:]}
    width = (window.end - window.start).total_seconds() / MAX_POINTS
    buckets: dict[int, list[int]] = {}
    for t, v in points:
        buckets.setdefault(int(t // width), []).append(v)
    return {(b + 0.5) * width: _value(sum(vs) / len(vs), register) for b, vs in buckets.items()}


@dataclass(slots=True)
class _Hour:
    first: int
    last: int
    mean: float


def _of_hours(
    adapter: Adapter, registers: Sequence[Shown], window: Window, view: View, opening: Opening | None
) -> Chart:
    hours, sealed = _hours(adapter, registers, window, opening)
    flow = view == "flow" and all(r.counter for r in registers)
    by_day = window.range == "month"
    lines = []
    for register in registers:
        rows = hours.get(register.number, {})
        if flow:
            values = _consumption(rows, register, window, by_day)
            unit, digits = ("l", 0) if register.rate_unit == "l/h" else (register.unit, register.digits)
            factor = 1000 if unit == "l" else 1
            points: dict[float, float | None] = {t: round(v * factor, 3) for t, v in values.items()}
            lines.append(Line(register.name, unit, min(digits, 2) if by_day else digits, points))
        else:
            # A counter is read at the end of its hour; a mean lies in the middle.
            at, value = (3600, "last") if register.counter else (1800, "mean")
            level: dict[float, float | None] = {
                hour.timestamp() + at: _value(getattr(row, value), register)
                for hour, row in rows.items()
                if hour >= window.start
            }
            lines.append(Line(register.name, register.unit, register.digits, level))
    return Chart("bars" if flow else "line", lines, sealed, 86400 if by_day else 3600)


def _consumption(rows: dict[datetime, _Hour], register: Shown, window: Window, by_day: bool) -> dict[float, float]:
    """What the counter gained in each hour or local day; the gain between two hours belongs to the later one."""
    gained: dict[float, float] = {}
    before: int | None = None
    day = following = window.start
    for hour in sorted(rows):
        row = rows[hour]
        start = row.first if before is None or before > row.first else before
        before = row.last
        if hour < window.start:
            continue
        if by_day and hour >= following:
            day, following = day_of(hour), day_of(hour, -1)
        at = (day if by_day else hour).timestamp()
        gained[at] = gained.get(at, 0) + max(0, row.last - start) * register.factor
    return gained


def _hours(
    adapter: Adapter, registers: Sequence[Shown], window: Window, opening: Opening | None
) -> tuple[dict[int, dict[datetime, _Hour]], int]:
    numbers = [r.number for r in registers]
    start = (window.start - LOOK_BACK).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    rolled = HourRollup.objects.filter(
        adapter=adapter, register__in=numbers, start__gte=start, start__lt=window.end
    ).values_list("register", "start", "first_value", "last_value", "mean")
    hours: dict[int, dict[datetime, _Hour]] = {}
    tail = start
    for register, hour, first, last, mean in rolled:
        hours.setdefault(register, {})[hour] = _Hour(first, last, mean)
        # The hour that is still running may be rolled up already, but not to its end.
        tail = max(tail, hour)
    # Sealed values were never rolled up, also where clear ones came before and after them.
    sealed_from = start if has_sealed(adapter.pk) else None
    rows, sealed = _readings(adapter, registers, tail, window.end, opening, sealed_from=sealed_from)
    for number, points in rows.items():
        fresh: dict[int, list[int]] = {}
        for t, value in points:
            fresh.setdefault(int(t // 3600), []).append(value)
        for number_of_hour, values in fresh.items():
            hour = datetime.fromtimestamp(number_of_hour * 3600, UTC)
            if hour < tail and hour in hours.get(number, {}):
                continue  # the hour in which sealing began or ended; what is left out is gained in the next one
            hours.setdefault(number, {})[hour] = _Hour(values[0], values[-1], sum(values) / len(values))
    return hours, sealed


def _readings(
    adapter: Adapter,
    registers: Sequence[Shown],
    start: datetime,
    end: datetime,
    opening: Opening | None,
    *,
    sealed_from: datetime | None = None,
) -> tuple[dict[int, list[Point]], int]:
    """Points by register in order of time, the newest MAX_ROWS of them; and how many values stay sealed.

    `sealed_from`: sealed values are wanted from that earlier moment on.
    """
    numbers = [r.number for r in registers]
    rows = Reading.objects.filter(
        adapter=adapter, register__in=numbers, measured_at__gte=sealed_from or start, measured_at__lte=end
    )
    if sealed_from is not None and sealed_from < start:
        rows = rows.filter(Q(measured_at__gte=start) | Q(value=None))
    columns = ("register", UnixSeconds("measured_at"), "value", "counter")
    newest = list(rows.order_by("-measured_at").values_list(*columns)[:MAX_ROWS])
    closed = [t for _, t, value, _ in newest if value is None]
    opened: dict[tuple[int, int], int] = {}
    if opening is not None and closed:
        first, last = (datetime.fromtimestamp(t, UTC) for t in (closed[-1], closed[0]))
        opened = opening.values(adapter.pk, numbers, first - ROUNDING, last + ROUNDING)
    found: dict[int, list[Point]] = {}
    sealed = 0
    for register, t, stored, counter in reversed(newest):
        value = opened.get((counter, register)) if stored is None else stored
        if value is None:
            sealed += 1
        else:
            found.setdefault(register, []).append((round(t, 3), value))
    return found, sealed


def _value(value: float, register: Shown) -> float:
    return round(value * register.factor, 4)


def _moment(text: str) -> datetime | None:
    """An ISO date (its end is meant) or a number of Unix seconds."""
    try:
        if text.isdigit() and len(text) <= 11:
            return datetime.fromtimestamp(int(text), UTC)
        day = date.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    midnight = datetime.combine(day, datetime.min.time()) + timedelta(days=1)
    return timezone.make_aware(midnight) - timedelta(seconds=1)
