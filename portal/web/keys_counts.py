"""The figures over the inventory of keys: counted from time to time, for there may be half a million."""

from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Count
from django.db.models.functions import TruncMonth
from django.utils import timezone
from django.utils.dates import MONTHS_3

from portal.web.access import Access, reach_of
from portal.web.shelf import Shelf
from provisioning.accounts.actors import System
from provisioning.accounts.models import Organisation
from provisioning.campaigns.queries import LIVE, inventory_counts
from provisioning.keys.models import DeviceKey, KeyState

FRESH_S = 5.0
MONTHS = 12
MOST_REASONS = 3
Key = tuple[int, frozenset[int] | None]
_EVERYTHING = System("figures")


@dataclass(frozen=True, slots=True)
class Month:
    """How many keys in use end in a month; `height` of 100 beside the month with most."""

    first: date
    name: str
    count: int
    height: int


@dataclass(frozen=True, slots=True)
class Counts:
    """`reasons`: (code, how many) of failed deliveries, the most frequent first; `months`: this one and those after."""

    total: int
    states: dict[str, int]
    expiring: int
    expired: int
    failed: int
    reasons: list[tuple[str, int]]
    months: list[Month]

    @property
    def delivering(self) -> int:
        return self.states.get(KeyState.DELIVERING, 0)

    @property
    def revoked(self) -> int:
        return self.states.get(KeyState.REVOKED, 0)

    @property
    def ends(self) -> int:
        """Within the months that are shown."""
        return sum(month.count for month in self.months)


def counts(access: Access) -> Counts:
    """What this member may see, at most a little old. Only for those who may see keys."""
    return shelf.get(reach_of(access))


def take(key: Key) -> Counts:
    """Ask the database."""
    organisation, sites = key
    now = timezone.now()
    whole = inventory_counts(_EVERYTHING, Organisation(pk=organisation), now, sites)
    reasons = sorted(whole.failures.items(), key=lambda pair: (-pair[1], pair[0]))
    live = DeviceKey.objects.filter(organisation_id=organisation, state__in=LIVE).order_by()
    if sites is not None:
        live = live.filter(adapter__site__in=sites)
    found = live.filter(not_after__gte=now, not_after__lt=_months_on(now, MONTHS))
    by_month = dict(found.annotate(month=TruncMonth("not_after")).values_list("month").annotate(count=Count("pk")))
    return Counts(
        total=sum(whole.states.values()),
        states=whole.states,
        expiring=whole.expiring,
        expired=whole.expired,
        failed=whole.failed,
        reasons=reasons[:MOST_REASONS],
        months=_months(now, {moment.date(): count for moment, count in by_month.items()}),
    )


def _months(now: datetime, by_month: dict[date, int]) -> list[Month]:
    most = max(by_month.values(), default=0)
    found = []
    for number in range(MONTHS):
        first = timezone.localtime(_months_on(now, number)).date()
        count = by_month.get(first, 0)
        height = max(2, round(100 * count / most)) if count else 0
        found.append(Month(first, str(MONTHS_3[first.month]).capitalize(), count, height))
    return found


def _months_on(now: datetime, number: int) -> datetime:
    """The beginning, in the portal's time zone, of the month that comes `number` months after this one."""
    local = timezone.localtime(now)
    index = local.year * 12 + local.month - 1 + number
    return datetime(index // 12, index % 12 + 1, 1, tzinfo=timezone.get_current_timezone())


shelf: Shelf[Key, Counts] = Shelf(take, FRESH_S)
