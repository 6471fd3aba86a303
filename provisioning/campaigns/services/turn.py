"""Whose turn it is: deliveries that may begin now, within window and downlink budgets, and those to be sent again."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from provisioning.campaigns.models import Campaign, Delivery, Notice, Partner
from provisioning.campaigns.windows import is_open, open_zones
from provisioning.fleet.models import Site

PER_CONCENTRATOR: Final = 30  # deliveries begun in an hour: two long downlinks each leave its duty cycle room
_HOUR: Final = timedelta(hours=1)
_S = Delivery.State


def due(now: datetime, limit: int) -> list[int]:
    """Planned deliveries that may begin now, the oldest campaign first, at most `limit` and one per adapter.

    Their campaign runs, its window is open where the adapter is, the concentrator is online, nothing else is under
    way to the adapter, and neither the organisation nor the concentrator has begun too many within an hour.
    """
    organisations, concentrators = _begun(now)
    found: list[int] = []
    chosen: set[int] = set()
    campaigns = Campaign.objects.filter(state=Campaign.State.RUNNING).order_by("created_at", "pk")
    for campaign in campaigns.iterator():
        room = min(limit - len(found), campaign.per_hour - organisations[campaign.organisation_id])
        if room <= 0:
            continue
        full = [pk for pk, count in concentrators.items() if pk is not None and count >= PER_CONCENTRATOR]
        rows = _waiting(campaign, now).exclude(adapter__concentrator_id__in=full).exclude(adapter_id__in=chosen)
        picked = rows.order_by("pk").values_list("pk", "adapter_id", "adapter__concentrator_id")
        for pk, adapter, concentrator in picked[: 4 * room]:
            if room <= 0 or concentrators[concentrator] >= PER_CONCENTRATOR or adapter in chosen:
                continue
            found.append(pk)
            chosen.add(adapter)
            concentrators[concentrator] += 1
            organisations[campaign.organisation_id] += 1
            room -= 1
    return found


def unanswered(now: datetime, limit: int, partner: str = Partner.PORTAL) -> list[int]:
    """Deliveries under way of keys shared with `partner` whose message is to be sent, or sent again, now; paused
    campaigns finish theirs.
    """
    rows = Delivery.objects.filter(
        state=_S.DELIVERING, due_at__lte=now, adapter__concentrator__online=True, campaign__partner=partner
    )
    return list(rows.order_by("due_at", "pk").values_list("pk", flat=True)[:limit])


def _waiting(campaign: Campaign, now: datetime) -> QuerySet[Delivery]:
    under_way = Delivery.objects.filter(adapter=OuterRef("adapter"), state__in=[_S.DELIVERING, _S.CONFIRMED])
    told = Notice.objects.filter(adapter=OuterRef("adapter"), state=Notice.State.SENDING)
    rows = Delivery.objects.filter(
        ~Exists(under_way), ~Exists(told), campaign=campaign, state=_S.PLANNED, due_at__lte=now,
        adapter__concentrator__online=True, adapter__concentrator__revoked_at=None,
    )  # fmt: skip
    begin, end = campaign.window_from, campaign.window_to
    if begin is None or end is None:
        return rows
    zones = Site.objects.filter(organisation_id=campaign.organisation_id).order_by()
    local = open_zones(begin, end, zones.values_list("time_zone", flat=True).distinct(), now)
    here = Q(adapter__site__time_zone__in=local)
    if is_open(begin, end, settings.TIME_ZONE, now):
        here |= Q(adapter__site=None)
    return rows.filter(here)


def _begun(now: datetime) -> tuple[Counter[int], Counter[int | None]]:
    """What was begun within the last hour, by organisation and by concentrator; a clock set back does not lock us."""
    rows = Delivery.objects.filter(begun_at__gt=now - _HOUR, begun_at__lte=now + _HOUR)
    organisations: Counter[int] = Counter()
    concentrators: Counter[int | None] = Counter()
    for organisation, concentrator in rows.values_list("organisation_id", "concentrator_id"):
        organisations[organisation] += 1
        concentrators[concentrator] += 1
    return organisations, concentrators
