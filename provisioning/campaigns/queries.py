"""What an actor may see of keys and of their replacement: inventory, campaigns, deliveries, what failed and why."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.campaigns.models import Campaign, Delivery, LmnHandover, Schedule
from provisioning.fleet.access import within_reach
from provisioning.fleet.models import Adapter, Site
from provisioning.keys.models import DeviceKey, KeyState
from provisioning.keys.queries import visible_keys

SOON: Final = timedelta(days=30)
MAX_PAGE: Final = 1000
LIVE: Final = (KeyState.GENERATED, KeyState.IMPORTED, KeyState.DELIVERING, KeyState.ACTIVE)
_S = Delivery.State


@dataclass(frozen=True)
class InventoryCounts:
    """Keys by state; of those in use or on their way how many end within SOON, and how many are over already; and
    adapters whose last delivery failed, by the code of the failure.
    """

    states: dict[str, int]
    expiring: int
    expired: int
    failures: dict[str, int]

    @property
    def failed(self) -> int:
        return sum(self.failures.values())


def inventory(
    actor: Actor,
    organisation: Organisation | None = None,
    *,
    purpose: str = "",
    state: str = "",
    site: Site | None = None,
    adapter: Adapter | None = None,
    expiring_before: datetime | None = None,
    failed: bool = False,
) -> QuerySet[DeviceKey]:
    """Visible keys by row number, each with `outcome`, `failure` and `failure_code` of its last delivery or None.

    `expiring_before`: in use or on their way, and over by then. `failed`: whose last delivery failed. Page by `page`.
    """
    last = Delivery.objects.filter(key=OuterRef("pk")).order_by("-pk")
    rows = visible_keys(actor, organisation).order_by("pk")
    rows = rows.annotate(
        outcome=Subquery(last.values("state")[:1]),
        failure=Subquery(last.values("message")[:1]),
        failure_code=Subquery(last.values("code")[:1]),
    )
    if purpose:
        rows = rows.filter(purpose=purpose)
    if state:
        rows = rows.filter(state=state)
    if site is not None:
        rows = rows.filter(adapter__site=site)
    if adapter is not None:
        rows = rows.filter(adapter=adapter)
    if expiring_before is not None:
        rows = rows.filter(not_after__lt=expiring_before, state__in=LIVE)
    if failed:
        rows = rows.filter(outcome=_S.FAILED)
    return rows


def page(rows: QuerySet[DeviceKey], after: int = 0, size: int = 100) -> list[DeviceKey]:
    """The next `size` keys behind row number `after`: as quick at the end of a long inventory as at its beginning."""
    return list(rows.filter(pk__gt=after)[: max(1, min(size, MAX_PAGE))])


def inventory_counts(
    actor: Actor, organisation: Organisation | None, now: datetime, sites: Collection[int] | None = None
) -> InventoryCounts:
    """The figures over the inventory, in three queries; `sites` None: at all sites."""
    rows, lost = visible_keys(actor, organisation).order_by(), failures(actor, organisation).order_by()
    if sites is not None:
        rows, lost = rows.filter(adapter__site__in=sites), lost.filter(adapter__site__in=sites)
    states = dict(rows.values_list("state").annotate(count=Count("pk")))
    ends = rows.filter(state__in=LIVE, not_after__lt=now + SOON).aggregate(
        expiring=Count("pk", filter=Q(not_after__gte=now)), expired=Count("pk", filter=Q(not_after__lt=now))
    )
    codes = dict(lost.values_list("code").annotate(count=Count("pk")))
    return InventoryCounts(states, ends["expiring"], ends["expired"], codes)


def visible_campaigns(actor: Actor, organisation: Organisation | None = None) -> QuerySet[Campaign]:
    """Campaigns with their progress as `planned`, `delivering`, `confirmed`, `active`, `failed`, `cancelled`, `total`;
    the latest first. Those over a whole organisation only for members that work at all its sites.
    """
    rows = Campaign.objects.select_related("site", "adapter", "created_by", "schedule")
    counts = {state.value: Count("deliveries", filter=Q(deliveries__state=state)) for state in _S}
    seen = within_reach(rows, actor, organisation, "keys.view", "site_id")
    return seen.annotate(total=Count("deliveries"), **counts)


def visible_deliveries(actor: Actor, organisation: Organisation | None = None) -> QuerySet[Delivery]:
    """Deliveries with campaign, adapter and key, by row number."""
    rows = Delivery.objects.select_related("campaign", "adapter", "concentrator", "key").defer("key__sealed", "private")
    return within_reach(rows, actor, organisation, "keys.view", "adapter__site_id").order_by("pk")


def failures(actor: Actor, organisation: Organisation | None = None) -> QuerySet[Delivery]:
    """Failed deliveries that no later one of the same purpose to the same adapter has made good for."""
    later = Delivery.objects.filter(
        adapter=OuterRef("adapter"), campaign__purpose=OuterRef("campaign__purpose"), pk__gt=OuterRef("pk")
    )
    return visible_deliveries(actor, organisation).filter(~Exists(later), state=_S.FAILED)


def visible_schedules(actor: Actor, organisation: Organisation | None = None) -> QuerySet[Schedule]:
    """Standing schedules that were not ended, the next one first."""
    rows = Schedule.objects.filter(ended_at=None).select_related("site", "adapter", "created_by")
    return within_reach(rows, actor, organisation, "keys.view", "site_id").order_by(F("next_at"), "pk")


def visible_handovers(actor: Actor, organisation: Organisation | None = None) -> QuerySet[LmnHandover]:
    """Hand-overs of LMN keys, the latest first; they span sites, so only for members that work at all of them."""
    rows = LmnHandover.objects.select_related("created_by", "made_by", "acknowledged_by", "campaign").defer("content")
    return within_reach(rows, actor, organisation, "keys.view", "campaign__site_id")
