"""Facts about an organisation's fleet that many pages show: counts by site, silences, refusals, concentrators.

A small fleet is asked every second at most. A large one is answered from the last snapshot while a thread makes the
next, so that no page ever waits for a count over a hundred thousand adapters.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Generic, TypeVar

from django.db import connection
from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from portal.telemetry.models import AdapterEvent, AdapterStatus, Silence
from portal.web.states import Counts
from provisioning.fleet.models import Adapter, Concentrator, Site

RECENT = timedelta(hours=24)
FRESH_S = 1.0
PATIENCE = 60  # a snapshot serves this many times as long as it took to make
QUICK_S = 0.05  # what takes longer is made behind the scenes
MAX_KEPT = 256

Key = tuple[int, frozenset[int] | None]
T = TypeVar("T")


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


@dataclass(frozen=True, slots=True)
class Snapshot:
    at: datetime
    by_site: dict[int | None, Counts]
    last_seen: dict[int | None, datetime]
    site_names: dict[int, str]
    concentrators: list[Concentrator]
    silences: list[Silent] = field(default_factory=list)
    refusals: list[Refusals] = field(default_factory=list)

    @property
    def total(self) -> Counts:
        """All adapters."""
        rows = self.by_site.values()
        return Counts(sum(r.heard for r in rows), sum(r.silent for r in rows), sum(r.never for r in rows))

    @property
    def newest(self) -> datetime | None:
        """When anything was heard last."""
        return max(self.last_seen.values(), default=None)


class Shelf(Generic[T]):
    """Values by key, made by `make`, served stale while a slow one is made anew."""

    def __init__(
        self, make: Callable[[Key], T], fresh_s: float = FRESH_S, first: Callable[[], T] | None = None
    ) -> None:
        """`first` answers at once for a key that was never made; without it the first caller waits."""
        self._make, self._fresh_s, self._first = make, fresh_s, first
        self._rows: OrderedDict[Key, tuple[float, float, T]] = OrderedDict()  # made at, took, value
        self._making: set[Key] = set()
        self._lock = threading.Lock()

    def get(self, key: Key) -> T:
        """The value of `key`, at most a little old."""
        with self._lock:
            row = self._rows.get(key)
            if row is not None:
                made, took, value = row
                if monotonic() - made < max(self._fresh_s, PATIENCE * took if took > QUICK_S else 0):
                    return value
                if took > QUICK_S:
                    self._refresh(key)
                    return value
            elif self._first is not None:
                self._refresh(key)
                return self._first()
        return self._store(key)

    def forget(self, organisation: int | None = None) -> None:
        """Make the values of an organisation (None: of all) anew when they are asked for next."""
        with self._lock:
            for key in [k for k in self._rows if organisation in (None, k[0])]:
                del self._rows[key]

    def _store(self, key: Key) -> T:
        began = monotonic()
        value = self._make(key)
        with self._lock:
            self._rows[key] = (monotonic(), monotonic() - began, value)
            self._rows.move_to_end(key)
            while len(self._rows) > MAX_KEPT:
                self._rows.popitem(last=False)
        return value

    def _refresh(self, key: Key) -> None:
        if key not in self._making:
            self._making.add(key)
            threading.Thread(target=self._behind, args=(key,), name="snapshot", daemon=True).start()

    def _behind(self, key: Key) -> None:
        try:
            self._store(key)
        finally:
            connection.close()  # this thread's own
            with self._lock:
                self._making.discard(key)


def take(key: Key) -> Snapshot:
    """Ask the database for the facts of an organisation, limited to `sites` when given."""
    organisation, sites = key
    now = timezone.now()
    adapters = Adapter.objects.filter(organisation_id=organisation, archived_at=None)
    concentrators = Concentrator.objects.filter(organisation_id=organisation, archived_at=None).select_related("site")
    if sites is not None:
        adapters, concentrators = adapters.filter(site__in=sites), concentrators.filter(site__in=sites)
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
        site_names=dict(Site.objects.filter(organisation_id=organisation, archived_at=None).values_list("pk", "name")),
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
    """One row per cause, never one per adapter."""
    status = AdapterStatus.objects.filter(
        organisation_id=organisation, last_error_at__gte=now - RECENT, adapter__archived_at=None
    )
    told = AdapterEvent.objects.filter(
        organisation_id=organisation, at__gte=now - RECENT, adapter__isnull=False, kind="device_refused"
    )
    if sites is not None:
        status, told = status.filter(adapter__site__in=sites), told.filter(adapter__site__in=sites)
    by_code = status.values_list("last_error").annotate(n=Count("pk"), last=Max("last_error_at"), one=Min("adapter_id"))
    by_reason = told.values_list("reason").annotate(
        n=Count("adapter_id", distinct=True), last=Max("at"), one=Min("adapter_id")
    )
    return [
        *(Refusals("", code or "", n, last, one) for code, n, last, one in by_code),
        *(Refusals("device_refused", reason, n, last, one) for reason, n, last, one in by_reason),
    ]


snapshots: Shelf[Snapshot] = Shelf(take)
