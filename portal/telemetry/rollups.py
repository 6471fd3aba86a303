"""Condenses readings into hours and hours into days, and again where a reading came late."""

from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from portal.telemetry.condense import condense_day, condense_hour
from portal.telemetry.models import LateHour, Reading, Watermark

HOUR = timedelta(hours=1)
SETTLED = timedelta(minutes=10)  # the pipeline names as late what it stores for an hour half as long after its end
LONGEST_OUTAGE = timedelta(days=31)  # on-time readings further back than that have been waiting for nobody
MAX_LATE = 5_000  # (hour, adapter) pairs in one run


def roll_up(now: datetime) -> int:
    """Condense the hours and days that are over and were not yet, then those with late readings; returns how many."""
    done = 0
    for name, condense, floor, following in (
        ("hour", condense_hour, hour_of, lambda start: start + HOUR),
        ("day", condense_day, day_of, _next_day),
    ):
        for start in _over(name, floor, following, now - SETTLED):
            with transaction.atomic():
                condense(start, following(start))
                Watermark.objects.update_or_create(name=name, defaults={"at": following(start)})
            done += 1
    return done + _late(now)


def day_of(moment: datetime) -> datetime:
    """The beginning of the calendar day of `moment` in the portal's time zone."""
    return timezone.localtime(moment).replace(hour=0, minute=0, second=0, microsecond=0)


def hour_of(moment: datetime) -> datetime:
    """The beginning of the hour of `moment`."""
    return moment.replace(minute=0, second=0, microsecond=0)


def _next_day(start: datetime) -> datetime:
    """The beginning of the day after; days have 23, 24 or 25 hours."""
    return day_of(start + timedelta(hours=36))


def _over(
    name: str, floor: Callable[[datetime], datetime], following: Callable[[datetime], datetime], end: datetime
) -> Iterator[datetime]:
    """The stretches that ended before `end`, from the watermark on, or from the first reading."""
    mark = Watermark.objects.filter(name=name).values_list("at", flat=True).first()
    if mark is None:
        first = Reading.objects.filter(measured_at__gte=end - LONGEST_OUTAGE).aggregate(first=Min("measured_at"))[
            "first"
        ]
        if first is None:
            return
        mark = floor(first)
    start = max(mark, floor(end - LONGEST_OUTAGE))
    while following(start) <= end:
        yield start
        start = following(start)


def _late(now: datetime) -> int:
    """Condense again what LateHour names, and the days that were made of it."""
    rows = list(LateHour.objects.order_by("start", "adapter_id").values_list("start", "adapter_id")[:MAX_LATE])
    by_hour, by_day = _adapters_by(rows, hour_of), _adapters_by(rows, day_of)
    with transaction.atomic():
        for start, adapters in by_hour.items():
            if start + HOUR <= now:
                condense_hour(start, start + HOUR, adapters)
        for start, adapters in by_day.items():
            if _next_day(start) <= now:
                condense_day(start, _next_day(start), adapters)
        for start, adapters in by_hour.items():
            LateHour.objects.filter(start=start, adapter_id__in=adapters).delete()
    return len(rows)


def _adapters_by(
    rows: Collection[tuple[datetime, int]], floor: Callable[[datetime], datetime]
) -> dict[datetime, set[int]]:
    found: dict[datetime, set[int]] = {}
    for start, adapter in rows:
        found.setdefault(floor(start), set()).add(adapter)
    return found
