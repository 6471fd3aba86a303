"""What an actor may see of signed days, starting from the adapters within reach."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db.models import Count, QuerySet
from django.db.models.functions import TruncDate
from django.utils import timezone

from portal.days.models import SignedDay, SigningKey
from portal.telemetry.models import Telegram
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.fleet.access import within_reach
from provisioning.fleet.models import Adapter

UTC = timezone.get_fixed_timezone(0)


@dataclass(frozen=True, slots=True)
class Day:
    """One UTC day of an adapter: telegrams that came in it, and the signature where there is (or should be) one."""

    day: date
    telegrams: int
    signed: SignedDay | None


def visible_days(actor: Actor, organisation: Organisation | None = None) -> QuerySet[SignedDay]:
    """Signed days with their adapters. Empty without readings.view."""
    rows = SignedDay.objects.select_related("adapter", "signing_key").defer("hashes")
    return within_reach(rows, actor, organisation, "readings.view", "adapter__site_id")


def signing_keys(adapter: Adapter) -> list[SigningKey]:
    """The keys that an adapter has announced, the newest first."""
    return list(SigningKey.objects.filter(adapter=adapter).order_by("-pk")[:20])


def days_of(adapter: Adapter, last: date, count: int) -> list[Day]:
    """`count` days up to `last`, the newest first; days of which nothing is known are left out."""
    first = last - timedelta(days=count - 1)
    begin, end = (datetime.combine(day, time(), UTC) for day in (first, last + timedelta(days=1)))
    came = Telegram.objects.filter(
        adapter=adapter, error=None, counter__isnull=False, received_at__gte=begin, received_at__lt=end
    )
    by_day = came.annotate(day=TruncDate("received_at", tzinfo=UTC)).values_list("day").annotate(Count("pk"))
    telegrams: dict[date, int] = dict(by_day.order_by())
    rows = SignedDay.objects.filter(adapter=adapter, day__range=(first, last)).select_related("signing_key")
    signed = {row.day: row for row in rows.defer("hashes")}
    days = (last - timedelta(days=back) for back in range(count))
    return [Day(day, telegrams.get(day, 0), signed.get(day)) for day in days if day in telegrams or day in signed]
