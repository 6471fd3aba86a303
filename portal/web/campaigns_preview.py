"""What a campaign would do before it begins: who takes part, who cannot and why, and when its last delivery begins."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import QuerySet

from portal.web import keys_words
from portal.web.access import Access
from provisioning.campaigns.eligibility import candidates, waiting_keys
from provisioning.campaigns.models import Campaign, Delivery
from provisioning.campaigns.places import WAITING
from provisioning.campaigns.services.turn import PER_CONCENTRATOR
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.fleet.queries import visible_adapters


@dataclass(frozen=True, slots=True)
class Preview:
    """`obstacles`: (sentence, how many adapters); `ahead`: deliveries of other campaigns that come first; `offline`:
    of those that take part, adapters whose concentrator is not connected now. `ends` None: nobody takes part.
    """

    adapters: int
    deliveries: int
    obstacles: list[tuple[str, int]]
    ahead: int
    offline: int
    ends: datetime | None

    @property
    def left_out(self) -> int:
        return sum(count for _, count in self.obstacles)


def preview(access: Access, terms: dict[str, Any], now: datetime) -> Preview:
    """What `services.plan` would make of these terms now."""
    campaign = Campaign(organisation=access.organisation, **terms)
    scope = _scope(access, campaign)
    waiting = waiting_keys(scope, campaign.purpose) if campaign.purpose in WAITING else None
    if waiting is not None and campaign.adapter is None:
        scope = scope.filter(pk__in=waiting)
    obstacles: Counter[str] = Counter()
    by_concentrator: Counter[int] = Counter()
    adapters = 0
    for found in candidates(campaign, scope, busy=waiting is None):
        count = 1 if waiting is None else len(waiting.get(found.adapter_id, []))
        if found.obstacle or not count:
            obstacles[found.obstacle or "no_waiting_key"] += 1
        else:
            adapters += 1
            by_concentrator[found.concentrator_id or 0] += count
    deliveries = sum(by_concentrator.values())
    ahead = _ahead(campaign)
    hours = max((ahead + deliveries) / campaign.per_hour, max(by_concentrator.values(), default=0) / PER_CONCENTRATOR)
    site = campaign.site
    zone = site.time_zone if site is not None else settings.TIME_ZONE
    end = last_begins(now, hours, campaign.window_from, campaign.window_to, zone)
    return Preview(
        adapters=adapters,
        deliveries=deliveries,
        obstacles=[(keys_words.reason(code), count) for code, count in obstacles.most_common()],
        ahead=ahead,
        offline=_offline(by_concentrator),
        ends=end if deliveries else None,
    )


def last_begins(now: datetime, hours: float, begin: time | None, end: time | None, zone: str) -> datetime:
    """When `hours` hours of open window are over, from `now` on; the window is in local time of `zone`.

    Pure. A day on which the clock changes counts as any other: the answer is good to an hour.
    """
    if begin is None or end is None:
        return now + timedelta(hours=hours)
    local = now.astimezone(ZoneInfo(zone))
    opens = local.replace(hour=begin.hour, minute=begin.minute, second=begin.second, microsecond=0)
    length = timedelta(seconds=(_seconds(end) - _seconds(begin)) % 86400)
    if opens > local:
        opens -= timedelta(days=1)  # the one of yesterday may still be open
    needed = timedelta(hours=hours)
    left = opens + length - local
    if left > timedelta(0):
        if needed <= left:
            return now + needed
        needed -= left
    days = max(1, ceil(needed / length))
    return (opens + timedelta(days=days) + needed - (days - 1) * length).astimezone(now.tzinfo)


def _scope(access: Access, campaign: Campaign) -> QuerySet[Adapter]:
    rows = visible_adapters(access.user, access.organisation)
    if campaign.adapter is not None:
        return rows.filter(pk=campaign.adapter.pk)
    return rows if campaign.site is None else rows.filter(site=campaign.site)


def _ahead(campaign: Campaign) -> int:
    """What older campaigns have still to begin: all share the hourly budget of the organisation."""
    rows = Delivery.objects.filter(
        organisation=campaign.organisation, campaign__state=Campaign.State.RUNNING, state=Delivery.State.PLANNED
    )
    return rows.count()


def _offline(by_concentrator: Counter[int]) -> int:
    away = Concentrator.objects.filter(pk__in=list(by_concentrator), online=False).values_list("pk", flat=True)
    return sum(by_concentrator[pk] for pk in away)


def _seconds(at: time) -> int:
    return at.hour * 3600 + at.minute * 60 + at.second
