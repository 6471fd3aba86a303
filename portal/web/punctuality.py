"""How many of the readings that were due in each of the last 24 hours arrived, and arrived on time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Count, ExpressionWrapper, F, Max, Min, Q, Sum, fields
from django.db.models.functions import Coalesce, Greatest, Least
from django.utils import timezone

from meterwire.messages import ulid
from portal.telemetry.models import Silence, Telegram
from portal.web.shelf import Shelf
from portal.web.snapshot import Key

HOURS = 24
PROMPT = timedelta(seconds=60)  # between the radio and the portal's database
FRESH_S = 5.0
SLACK = timedelta(hours=1)  # a telegram's id carries the concentrator's clock
USUAL_PERIOD_S = 900
COUNTED_AT_ONCE = 2000  # adapters


@dataclass(frozen=True, slots=True)
class Hour:
    """`prompt` of `due` telegrams arrived on time in the hour that begins at `start`."""

    start: datetime
    prompt: int
    due: int

    @property
    def running(self) -> bool:
        """Whether the hour is not over: a few readings do not make a share."""
        return timezone.now() < self.start + timedelta(hours=1)


def last_day(key: Key) -> list[Hour]:
    """The last 24 hours, oldest first, hours without anything due left out."""
    this_hour = timezone.now().astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    past = _past.setdefault(key, {})
    for start in [s for s in past if s < this_hour - timedelta(hours=HOURS)]:
        del past[start]
    hours = []
    for back in range(HOURS - 1, -1, -1):
        start = this_hour - timedelta(hours=back)
        hour = past.get(start) or _hour(key, start)
        if back >= 2:  # late arrivals still change the last two
            past[start] = hour
        if hour.due:
            hours.append(hour)
    if len(_past) > 256:
        _past.clear()
    return hours


_past: dict[Key, dict[datetime, Hour]] = {}


def _hour(key: Key, start: datetime) -> Hour:
    organisation, sites = key
    end = start + timedelta(hours=1)
    rows = Telegram.objects.filter(
        # The primary key sorts by time, so it bounds the hour without another index.
        id__gte=ulid((start - SLACK).timestamp(), bytes(10)),
        id__lt=ulid((end + SLACK).timestamp(), bytes(10)),
        organisation_id=organisation,
        received_at__gte=start,
        received_at__lt=end,
        error=None,
        adapter__isnull=False,
    )
    if sites is not None:
        rows = rows.filter(adapter__site__in=sites)
    delay = ExpressionWrapper(F("stored_at") - F("received_at"), output_field=fields.DurationField())
    # The frame counter counts what was sent, the inner counter what was sealed: what is missing in both was lost.
    frames, sealed = F("last_frame") - F("first_frame") + 1, F("last_sealed") - F("first_sealed") + 1
    per_adapter = (
        rows.annotate(delay=delay)
        .values("adapter_id", "epoch")
        .annotate(n=Count("pk"), on_time=Count("pk", filter=Q(delay__lt=PROMPT)))
        .annotate(
            first_frame=Min("fcnt"), last_frame=Max("fcnt"), first_sealed=Min("counter"), last_sealed=Max("counter")
        )
        .annotate(frames=frames, sealed=Coalesce(sealed, frames))
        .annotate(owed=Greatest(F("n"), Least(F("frames"), F("sealed"))))
    )
    sums = per_adapter.aggregate(prompt=Sum("on_time"), due=Sum("owed"))
    silent = _silent(organisation, sites, start, end)
    return Hour(start, int(sums["prompt"] or 0), int(sums["due"] or 0) + silent)


def _silent(organisation: int, sites: frozenset[int] | None, start: datetime, end: datetime) -> int:
    """Readings that adapters owe for the time in which they were silent."""
    rows = Silence.objects.filter(organisation_id=organisation, since__lt=end).filter(
        Q(until=None) | Q(until__gt=start)
    )
    if sites is not None:
        rows = rows.filter(Q(adapter__site__in=sites) | Q(concentrator__site__in=sites))
    owed = 0.0
    now = timezone.now()
    for since, until, adapters, period in rows.values_list("since", "until", "adapters", "adapter__status__period_s"):
        seconds = (min(end, until or now) - max(start, since)).total_seconds()
        owed += max(0.0, seconds) / (period or USUAL_PERIOD_S) * adapters
    return int(owed)


def _not_yet() -> list[Hour]:
    return []


hours: Shelf[Key, list[Hour]] = Shelf(last_day, fresh_s=FRESH_S)
hours_behind: Shelf[Key, list[Hour]] = Shelf(last_day, fresh_s=FRESH_S, first=_not_yet)
