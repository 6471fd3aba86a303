"""How early and late an adapter was in its slot over weeks: figures by day, and the lines of a small chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone

from portal.telemetry.models import SlotDay
from portal.web.figures import NONE, date_of, figure, percent

WIDTH, HEIGHT = 600.0, 120.0
ROOM = 1.1  # above the largest value


@dataclass(frozen=True, slots=True)
class Day:
    """A day as the table shows it; `delivered`: how much of what was expected came."""

    row: SlotDay
    used_percent: str
    delivered: str
    ppm: float | None

    @property
    def name(self) -> str:
        """The day as dates are written here: it is one of UTC, and no time zone may move it."""
        return date_of(datetime.combine(self.row.day, time(12), timezone.get_current_timezone()))


@dataclass(frozen=True, slots=True)
class Course:
    """Points for polygons and polylines in a box of WIDTH by HEIGHT, late upwards; days, the newest first."""

    bands: list[str]
    medians: list[str]
    guards: tuple[str, str]  # y of the guards
    guard_ms: int
    first: str
    last: str
    days: list[Day]


def course(rows: Sequence[SlotDay]) -> Course | None:
    """Of days in order of time; None when nothing was measured. Another guard of the past is drawn as the last one."""
    measured = [row for row in rows if row.early_ms is not None and row.late_ms is not None]
    if not measured:
        return None
    guard = measured[-1].guard_ms
    most = max(guard, *(max(row.early_ms or 0, row.late_ms or 0) for row in measured), 1) * ROOM
    begin, end = measured[0].day, max(measured[-1].day, measured[0].day + timedelta(days=1))

    def x(day: date) -> float:
        return round(WIDTH * (day - begin).days / (end - begin).days, 1)

    def y(late_ms: float) -> float:
        return round(HEIGHT / 2 * (1 - late_ms / most), 1)

    bands, medians = [], []
    for run in _runs(measured):
        upper = [(x(row.day), y(row.late_ms or 0)) for row in run]
        lower = [(x(row.day), y(-(row.early_ms or 0))) for row in run]
        if len(run) == 1:  # a day alone is as wide as a line
            upper, lower = [upper[0], (upper[0][0] + 3, upper[0][1])], [lower[0], (lower[0][0] + 3, lower[0][1])]
        bands.append(_points(upper + lower[::-1]))
        medians.append(_points([(x(row.day), y(row.median_ms)) for row in run if row.median_ms is not None]))
    days = [_day(row) for row in reversed(rows)]
    guards = str(y(guard)), str(y(-guard))
    return Course(bands, medians, guards, guard, _day(measured[0]).name, _day(measured[-1]).name, days)


def share(used: float | None) -> str:
    """A share in whole per cent."""
    return f"{figure(100 * used)} %" if used is not None else NONE


def since(days: int) -> date:
    """The UTC day so many days ago."""
    return datetime.now(UTC).date() - timedelta(days=days)


def _day(row: SlotDay) -> Day:
    delivered = percent(min(row.arrived, row.expected), row.expected, 1)
    return Day(row, share(row.used), delivered, None if row.rate_ppb is None else row.rate_ppb / 1000)


def _runs(rows: Sequence[SlotDay]) -> list[list[SlotDay]]:
    """Days without a gap of more than two between them."""
    runs: list[list[SlotDay]] = []
    for row in rows:
        if runs and (row.day - runs[-1][-1].day).days <= 2:
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
