"""Facts about an organisation's fleet that many pages show: counts by site, silences, refusals, concentrators.

A small fleet is asked every second at most. A large one is answered from the last snapshot while a thread makes the
next, so that no page ever waits for a count over a hundred thousand adapters.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from portal.telemetry.models import AdapterEvent, AdapterStatus, Silence
from portal.web.shelf import Shelf
from portal.web.states import Counts
from provisioning.fleet.models import Adapter, Concentrator, Site

RECENT = timedelta(hours=24)
MAX_TWICE = 20

Key = tuple[int, frozenset[int] | None]


@dataclass(frozen=True, slots=True)
class Silent:
    """Adapters of one site, or all of one concentrator, that are silent since `since`."""

    adapters: int
    since: datetime
    site: int | None = None
    concentrator: int | None = None


@dataclass(frozen=True, slots=True)
class Refusals:
    """Adapters refused for one reason in the last 24 hours; `kind` empty: a telegram, frame or join of theirs."""

    kind: str
    reason: str
    adapters: int
    last: datetime
    adapter: int | None


@dataclass(frozen=True)
class Snapshot:
    """What was true at `at`."""

    at: datetime
    by_site: dict[int | None, Counts]
    last_seen: dict[int | None, datetime]
    site_names: dict[int, str]
    concentrators: list[Concentrator]
    silences: list[Silent] = field(default_factory=list)
    refusals: list[Refusals] = field(default_factory=list)

    @cached_property
    def total(self) -> Counts:
        """All adapters."""
        rows = self.by_site.values()
        return Counts(sum(r.heard for r in rows), sum(r.silent for r in rows), sum(r.never for r in rows))

    @cached_property
    def newest(self) -> datetime | None:
        """When anything was heard last."""
        return max(self.last_seen.values(), default=None)

    @cached_property
    def at_site(self) -> dict[int | None, list[Concentrator]]:
        """Concentrators by site."""
        found: dict[int | None, list[Concentrator]] = {}
        for concentrator in self.concentrators:
            found.setdefault(concentrator.site_id, []).append(concentrator)
        return found


def take(key: Key) -> Snapshot:
    """Ask the database for the facts of an organisation, limited to `sites` when given."""
    organisation, sites = key
    now = timezone.now()
    adapters = Adapter.objects.filter(organisation_id=organisation, archived_at=None)
    concentrators = Concentrator.objects.filter(organisation_id=organisation, archived_at=None).select_related("site")
    places = Site.objects.filter(organisation_id=organisation, archived_at=None)
    if sites is not None:
        adapters, concentrators = adapters.filter(site__in=sites), concentrators.filter(site__in=sites)
        places = places.filter(pk__in=sites)
    heard = Q(status__last_seen__isnull=False)
    rows = list(
        adapters.order_by()
        .values("site_id")
        .annotate(
            n=Count("pk"),
            heard=Count("pk", filter=heard & Q(status__state=AdapterStatus.State.HEARD)),
            silent=Count("pk", filter=heard & Q(status__state=AdapterStatus.State.SILENT)),
            last=Max("status__last_seen"),
        )
    )
    return Snapshot(
        at=now,
        by_site={r["site_id"]: Counts(r["heard"], r["silent"], r["n"] - r["heard"] - r["silent"]) for r in rows},
        last_seen={r["site_id"]: r["last"] for r in rows if r["last"]},
        site_names=dict(places.values_list("pk", "name")),
        concentrators=list(concentrators),
        silences=_silences(organisation, sites),
        refusals=_refusals(organisation, sites, now),
    )


def _silences(organisation: int, sites: frozenset[int] | None) -> list[Silent]:
    rows = Silence.objects.filter(organisation_id=organisation, until=None)
    alone = rows.filter(adapter__isnull=False, adapter__archived_at=None)
    together = rows.filter(concentrator__isnull=False, concentrator__archived_at=None)
    if sites is not None:
        alone, together = alone.filter(adapter__site__in=sites), together.filter(concentrator__site__in=sites)
    by_place = alone.values_list("adapter__site_id", "adapter__concentrator_id").annotate(
        n=Count("pk"), first=Min("since")
    )
    return [
        *(Silent(n, since, site, concentrator) for site, concentrator, n, since in by_place),
        *(
            Silent(r.adapters, r.since, r.concentrator.site_id if r.concentrator else None, r.concentrator_id)
            for r in together.select_related("concentrator")
        ),
    ]


def _refusals(organisation: int, sites: frozenset[int] | None, now: datetime) -> list[Refusals]:
    """One row per cause, never one per adapter; but the few who read the meter of another one are named."""
    status = AdapterStatus.objects.filter(
        organisation_id=organisation, last_error_at__gte=now - RECENT, adapter__archived_at=None
    )
    told = AdapterEvent.objects.filter(
        organisation_id=organisation, at__gte=now - RECENT, adapter__isnull=False, kind="device_refused"
    )
    if sites is not None:
        status, told = status.filter(adapter__site__in=sites), told.filter(adapter__site__in=sites)
    twice = AdapterEvent.objects.filter(
        organisation_id=organisation, at__gte=now - RECENT, kind="security", reason="identity_twice"
    )
    if sites is not None:
        twice = twice.filter(adapter__site__in=sites)
    by_adapter = twice.values_list("adapter").annotate(last=Max("at")).order_by("-last")[:MAX_TWICE]
    by_code = status.values_list("last_error").annotate(n=Count("pk"), last=Max("last_error_at"), one=Min("adapter_id"))
    by_reason = told.values_list("reason").annotate(
        n=Count("adapter_id", distinct=True), last=Max("at"), one=Min("adapter_id")
    )
    return [
        *(Refusals("", code or "", n, last, one) for code, n, last, one in by_code),
        *(Refusals("device_refused", reason, n, last, one) for reason, n, last, one in by_reason),
        *(Refusals("security", "identity_twice", 1, last, one) for one, last in by_adapter),
    ]


snapshots: Shelf[Key, Snapshot] = Shelf(take, told=True)
