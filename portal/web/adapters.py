"""Reads for the adapter pages: the list with its filters and search, and what is known of one adapter."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.db.models import Prefetch, Q, QuerySet
from django.http import QueryDict
from django.utils import timezone

from portal.telemetry.models import AdapterEvent, AdapterStatus, Reading, Telegram
from portal.web import diagnosis, registers, states
from portal.web.access import Access
from portal.web.diagnosis import Diagnosis, one_line
from portal.web.keyset import Order, Page, paged
from portal.web.registers import Shown
from portal.web.snapshot import RECENT
from portal.web.states import State
from provisioning.fleet.models import Adapter, Meter, Site
from provisioning.fleet.queries import visible_adapters
from provisioning.pairing.models import Pairing

MAX_SEARCH = 60
MAX_FOUND = 200
LATEST_ROWS = 240  # enough for every register of every input, also where they take turns
DIAGNOSED = timedelta(days=7)
MAX_REFUSED = 100
MAX_EXAMPLES = 3
MAX_RAW = 20
MAX_LOOKED_AT = 2000
FILTERS = ("heard", "silent", "never", "archived")
ORDERS = {
    "eui": Order(("dev_eui",)),
    "last": Order(("-status__last_seen", "pk")),
    "oldest": Order(("status__last_seen", "pk")),
}
REFUSED_EVENTS = ("join_refused", "frame_refused", "device_refused", "security", "protocol")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the list."""

    adapter: Adapter
    state: State
    status: AdapterStatus | None
    pairings: list[Pairing]

    @property
    def meter(self) -> str:
        """The meter it reads, if it is paired."""
        return next((p.meter.meter_id for p in self.pairings if p.meter), "")

    @property
    def place(self) -> str:
        """The metering point, else where it hangs."""
        return next((p.metering_point.name for p in self.pairings), "") or self.adapter.location

    @property
    def floor(self) -> str:
        """The first part of a location such as "cellar, left"; the list of a building is grouped by it."""
        floor, comma, _rest = self.adapter.location.partition(",")
        return floor.strip() if comma else ""

    @property
    def spot(self) -> str:
        """The rest of the location below its floor."""
        return self.adapter.location.partition(",")[2].strip() if self.floor else self.adapter.location


def lines(access: Access, query: QueryDict, site: Site | None = None) -> Page[Adapter]:
    """One page of adapters as the query's `state`, `q`, `site`, `refused` and `sort` want it."""
    state = query.get("state", "")
    rows = visible_adapters(access.user, access.organisation, archived=state == "archived").select_related("status")
    if site is not None:
        rows = rows.filter(site=site)
    if state == "heard":
        rows = rows.filter(status__state=AdapterStatus.State.HEARD, status__last_seen__isnull=False)
    elif state == "silent":
        rows = rows.filter(status__state=AdapterStatus.State.SILENT)
    elif state == "never":
        rows = rows.filter(Q(status__isnull=True) | Q(status__last_seen=None))
    if refused := query.get("refused"):
        rows = _refused(rows, refused[:40])
    if text := query.get("q", "").strip()[:MAX_SEARCH]:
        rows = rows.filter(pk__in=search(access, text))
    sort = query.get("sort", "eui")
    if sort in {"last", "oldest"}:
        rows = rows.filter(status__last_seen__isnull=False)
    return paged(with_pairings(rows), ORDERS.get(sort, ORDERS["eui"]), query)


def as_lines(rows: list[Adapter], now: datetime) -> list[Line]:
    """The rows with their states."""
    return [
        Line(a, states.of_adapter(status_of(a), now, a.archived_at is not None), status_of(a), a.open_pairings)  # type: ignore[attr-defined]
        for a in rows
    ]


def with_pairings(rows: QuerySet[Adapter]) -> QuerySet[Adapter]:
    """Adapters with `open_pairings`, their metering points and meters."""
    open_ones = Pairing.objects.filter(to_at=None).select_related("metering_point", "meter").order_by("input")
    return rows.prefetch_related(Prefetch("pairings", open_ones, to_attr="open_pairings"))


def status_of(adapter: Adapter) -> AdapterStatus | None:
    """None while it was never heard."""
    return getattr(adapter, "status", None)


def _refused(rows: QuerySet[Adapter], code: str) -> QuerySet[Adapter]:
    since = timezone.now() - RECENT
    if code == "device":
        told = AdapterEvent.objects.filter(kind="device_refused", at__gte=since, adapter__isnull=False)
        return rows.filter(pk__in=told.values("adapter_id"))
    return rows.filter(status__last_error=code, status__last_error_at__gte=since)


def search(access: Access, text: str) -> list[int]:
    """Adapters whose DevEUI, serial, meter, place or address contains the text; at most MAX_FOUND."""
    rows = visible_adapters(access.user, access.organisation).select_related(None).order_by()
    pairings = Pairing.objects.filter(organisation=access.organisation, to_at=None)
    compact = re.sub(r"[\s\-:.]", "", text)
    found: set[int] = set()

    def add(keys: QuerySet[Adapter, int] | QuerySet[Pairing, int]) -> bool:
        found.update(keys[: MAX_FOUND - len(found)])
        return len(found) < MAX_FOUND

    if re.fullmatch(r"[0-9a-fA-F]{16}", compact):
        add(rows.filter(dev_eui=compact.lower()).values_list("pk", flat=True))
        if found:
            return list(found)
    meters = Meter.objects.filter(organisation=access.organisation, removed_at=None)
    if re.fullmatch(r"\d[A-Z]{3}\d{10}", compact.upper()):
        meters = meters.filter(meter_id=compact.upper())
    else:
        meters = meters.filter(meter_id__contains=compact.upper()) if len(compact) >= 3 else meters.none()
    more = add(
        pairings.filter(meter_id__in=list(meters.values_list("pk", flat=True)[:MAX_FOUND])).values_list(
            "adapter_id", flat=True
        )
    )
    if more and re.fullmatch(r"[0-9a-fA-F]{3,16}", compact):
        more = add(rows.filter(dev_eui__contains=compact.lower()).values_list("pk", flat=True))
    if more and not found:
        sites = Site.objects.filter(organisation=access.organisation, archived_at=None).filter(
            Q(name__icontains=text) | Q(street__icontains=text) | Q(city__icontains=text) | Q(postcode=text)
        )
        more = add(
            rows.filter(site__in=list(sites.values_list("pk", flat=True)[:MAX_FOUND])).values_list("pk", flat=True)
        )
    if more:
        more = add(rows.filter(Q(location__icontains=text) | Q(serial__iexact=text)).values_list("pk", flat=True))
    if more and not found:
        add(pairings.filter(metering_point__name__icontains=text).values_list("adapter_id", flat=True))
    return list(found)


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest value of one register."""

    shown: Shown
    value: int | None
    at: datetime
    input: int

    @property
    def text(self) -> str:
        return self.shown.quantity(self.value)


def latest(adapter: Adapter) -> list[Latest]:
    """The newest value of each register that the adapter's last telegrams carried, by register."""
    newest: dict[int, Reading] = {}
    for row in Reading.objects.filter(adapter=adapter).order_by("-counter")[:LATEST_ROWS]:
        if registers.measured(row.register):
            newest.setdefault(row.register, row)
    return [Latest(registers.shown(n), r.value, r.measured_at, n >> 5) for n, r in sorted(newest.items())]


def first_reading(adapter: Adapter) -> datetime | None:
    """When its first reading was measured."""
    first = Reading.objects.filter(adapter=adapter).order_by("counter").values_list("measured_at", flat=True)[:1]
    return next(iter(first), None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One cause for which telegrams, frames or joins were refused: how often, the last time, and examples."""

    told: Diagnosis
    last: datetime
    times: int
    telegrams: list[Telegram]
    details: list[str]


def refusals(adapter: Adapter) -> list[Refusal]:
    """What was refused in the last days, one entry per cause, newest first."""
    since = timezone.now() - DIAGNOSED
    telegrams = Telegram.objects.filter(adapter=adapter, received_at__gte=since, error__isnull=False)
    events = AdapterEvent.objects.filter(adapter=adapter, at__gte=since, kind__in=REFUSED_EVENTS)
    causes: dict[Diagnosis, tuple[list[datetime], list[Telegram], list[str]]] = {}
    for telegram in telegrams.order_by("-received_at")[:MAX_REFUSED]:
        times, examples, _ = causes.setdefault(diagnosis.of_refusal(telegram.error or ""), ([], [], []))
        times.append(telegram.received_at)
        examples.append(telegram)
    for event in events.order_by("-at")[:MAX_REFUSED]:
        times, _, details = causes.setdefault(diagnosis.of_event(event.kind, event.reason), ([], [], []))
        times.append(event.at)
        if detail := one_line(event.detail):
            details.append(detail)
    found = [
        Refusal(told, max(times), len(times), examples[:MAX_EXAMPLES], details[:MAX_EXAMPLES])
        for told, (times, examples, details) in causes.items()
    ]
    return sorted(found, key=lambda r: r.last, reverse=True)


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch in which counters are missing; `lost` of them."""

    start: datetime
    end: datetime
    lost: int


@dataclass(frozen=True, slots=True)
class Radio:
    """The newest telegrams, and the gaps between those of the last days."""

    telegrams: list[Telegram]
    gaps: list[Gap]
    received: int
    lost: int


def radio(adapter: Adapter) -> Radio:
    """The last raw telegrams and the gaps in the last days."""
    rows = Telegram.objects.filter(adapter=adapter)
    recent = rows.filter(received_at__gte=timezone.now() - DIAGNOSED, error=None)
    seen = list(recent.order_by("-received_at").values_list("counter", "epoch", "fcnt", "received_at")[:MAX_LOOKED_AT])
    points = sorted((counter if counter is not None else epoch << 32 | fcnt, at) for counter, epoch, fcnt, at in seen)
    gaps = [
        Gap(before, at, counter - last - 1)
        for (last, before), (counter, at) in pairwise(points)
        if 1 < counter - last < 1 << 31 and at > before
    ]
    gaps.sort(key=lambda g: g.end, reverse=True)
    return Radio(list(rows.order_by("-received_at")[:MAX_RAW]), gaps, len(points), sum(g.lost for g in gaps))
