"""Reads for the adapter pages: the list with its filters and search, and what is known of one adapter."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.telemetry.models import AdapterEvent, AdapterStatus, Reading, Telegram
from portal.web import diagnosis, figures, registers, states
from portal.web.access import Access, reach_of
from portal.web.diagnosis import Diagnosis, one_line
from portal.web.keyset import Order, Page, paged
from portal.web.recency import page_of
from portal.web.registers import Shown
from portal.web.snapshot import RECENT
from portal.web.states import State
from provisioning.fleet.models import Adapter, Meter, MeteringPoint, Site
from provisioning.fleet.queries import visible_adapters
from provisioning.pairing.models import Pairing

MAX_SEARCH = 60
MAX_FOUND = 200
METER_ID = re.compile(r"\d[A-Z]{3}\d{10}")
DEV_EUI = re.compile(r"[0-9A-F]{16}")
NUMBER = re.compile(r"\d{3,}|[0-9A-F]{3,16}|\d[A-Z]{3}\d*|[A-Z]{2,4}\d{2,}")
HEX = re.compile(r"[0-9A-F]{3,16}")
LATEST_ROWS = 240  # enough for every register of every input, also where they take turns
DIAGNOSED = timedelta(days=7)
MAX_REFUSED = 100
MAX_EXAMPLES = 3
MAX_RAW = 12
MAX_LOOKED_AT = 2000
MAX_GAP = 1 << 31
FILTERS = ("heard", "silent", "never", "archived")
ORDERS = {
    "eui": Order(("dev_eui",)),
    "new": Order(("-pk",)),
    "last": Order(("-status__last_seen", "pk")),
    "oldest": Order(("status__last_seen", "pk")),
}
REFUSED_EVENTS = ("join_refused", "frame_refused", "device_refused", "security", "protocol")


@dataclass(frozen=True, slots=True)
class Reads:
    """What an adapter's input reads: the metering point, the number of the meter there, and how its pairing is."""

    input: int
    place: str
    meter: str
    pairing: int
    state: State


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list, ready to be written: lists are long, and looking things up is what takes time."""

    adapter: Adapter
    url: str
    site_url: str
    eui: str
    meter: str
    place: str
    floor: str  # the first part of a location such as "cellar, left"; the list of a building is grouped by it
    spot: str  # the rest of it
    note: str
    state: State
    pairing: State | None  # the first that somebody waits for
    pairing_url: str
    signal: str
    rate: str
    last_seen: datetime | None


def lines(access: Access, query: QueryDict, site: Site | None = None) -> Page[Adapter]:
    """One page of adapters as the query's `state`, `q`, `site`, `refused` and `sort` want it."""
    state, sort = query.get("state", ""), sort_of(query)
    rows = listed(visible_adapters(access.user, access.organisation, archived=state == "archived"))
    narrow = False
    if site is not None:
        rows, narrow = rows.filter(site=site), True
    if refused := query.get("refused"):
        rows, narrow = _refused(rows, refused[:40]), True
    if text := query.get("q", "").strip()[:MAX_SEARCH]:
        rows, narrow = rows.filter(pk__in=search(access, text)), True
    if state in {"heard", "silent"}:
        rows = rows.filter(status__state=state, status__last_seen__isnull=False)
    elif state == "never":
        # Newest first: that is where they are, and so the search ends after one page.
        heard = AdapterStatus.objects.filter(adapter=OuterRef("pk"), last_seen__isnull=False)
        return paged(rows.filter(~Exists(heard)), ORDERS["new"], query)
    if sort in {"last", "oldest"}:
        rows = rows.filter(status__last_seen__isnull=False)
        if not narrow and state != "archived":
            key = (*reach_of(access), state if state in {"heard", "silent"} else "", sort)
            return page_of(rows, key, query)
    return paged(rows, ORDERS[sort], query)


def sort_of(query: QueryDict) -> str:
    """The order asked for; silent ones are looked at by when they fell silent."""
    usual = "last" if query.get("state") == "silent" else "eui"
    asked = query.get("sort", usual)
    return asked if asked in {"eui", "last", "oldest"} else usual


def as_lines(rows: list[Adapter], now: datetime) -> list[Line]:
    """The rows with their meters and states."""
    reads = reads_of(rows)
    adapter_url, site_url = (reverse(name, args=[0]).removesuffix("0/") for name in ("adapter", "site"))
    notes = {"foreign": _("foreign device"), "meterspan": _("no meter yet")}

    def line(row: Adapter) -> Line:
        status, inputs = status_of(row), reads.get(row.pk, [])
        unfinished = next((r for r in inputs if r.state.form in {"warn", "bad"}), None)
        floor, comma, rest = row.location.partition(",")
        return Line(
            adapter=row,
            url=f"{adapter_url}{row.pk}/",
            site_url=f"{site_url}{row.site_id}/" if row.site_id else "",
            eui=figures.eui(row.dev_eui),
            meter=next((r.meter for r in inputs if r.meter), ""),
            place=inputs[0].place if inputs else row.location,
            floor=floor.strip() if comma else "",
            spot=rest.strip() if comma else row.location,
            note=notes[row.kind],
            state=states.of_adapter(status, now, row.archived_at is not None),
            pairing=unfinished.state if unfinished else None,
            pairing_url=reverse("pairing", args=[unfinished.pairing]) if unfinished else "",
            signal=f"{figures.figure(status.rssi)} dBm" if status and status.rssi is not None else "",
            rate=figures.rate(status.dr if status else None),
            last_seen=status.last_seen if status else None,
        )

    return [line(row) for row in rows]


def reads_of(rows: list[Adapter]) -> dict[int, list[Reads]]:
    """By adapter, what its inputs read now, in the order of the inputs."""
    pairings = Pairing.objects.filter(adapter_id__in=[row.pk for row in rows], to_at=None).order_by("input")
    found: dict[int, list[Reads]] = {}
    columns = ("adapter_id", "input", "metering_point__name", "meter__meter_id", "pk", "state", "identity")
    for adapter, input_, place, meter, pk, state, identity in pairings.values_list(*columns):
        told = states.of_pairing(Pairing(state=state, identity=identity))
        found.setdefault(adapter, []).append(Reads(input_, place, meter or "", pk, told))
    return found


def listed(rows: QuerySet[Adapter]) -> QuerySet[Adapter]:
    """With what a list shows of each, and nothing more."""
    return rows.select_related(None).select_related("status", "site")


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
    """At most MAX_FOUND adapters by what the text looks like: a number of meter or device, or a place.

    Whole numbers are found by their index; parts of them, and places, cost one or two scans and no more.
    """
    text = text.replace("\0", "")  # which no database takes
    compact = re.sub(r"[\s\-:.]", "", text).upper()
    if NUMBER.fullmatch(compact):
        found = _by_number(access, text, compact)
        if found:
            return found
    return _by_place(access, text)


def _by_number(access: Access, text: str, compact: str) -> list[int]:
    adapters = visible_adapters(access.user, access.organisation).select_related(None).order_by()
    meters = Meter.objects.filter(organisation=access.organisation, removed_at=None).order_by()
    whole_meter, whole_eui = METER_ID.fullmatch(compact), DEV_EUI.fullmatch(compact)
    keys: list[int] = []
    if whole_eui:
        keys += adapters.filter(dev_eui=compact.lower()).values_list("pk", flat=True)
    if not keys:
        meters = meters.filter(meter_id=compact) if whole_meter else meters.filter(meter_id__contains=compact)
        at = list(meters.values_list("pk", flat=True)[:MAX_FOUND])
        pairings = Pairing.objects.filter(meter_id__in=at, to_at=None).order_by()
        keys += pairings.values_list("adapter_id", flat=True) if at else []
    if not whole_meter and not whole_eui and HEX.fullmatch(compact):
        # Asks for what the index holds, and nothing else: so the table is not read.
        part = adapters.filter(dev_eui__contains=compact.lower()).values_list("dev_eui", flat=True)
        euis = list(part[: MAX_FOUND - len(keys)])
        keys += adapters.filter(dev_eui__in=euis).values_list("pk", flat=True)
    if not keys:
        keys += adapters.filter(serial__in={text.strip(), text.strip().upper(), compact}).values_list("pk", flat=True)[
            :MAX_FOUND
        ]
    return keys


def _by_place(access: Access, text: str) -> list[int]:
    adapters = visible_adapters(access.user, access.organisation).select_related(None).order_by()
    named = Q(name__icontains=text) | Q(street__icontains=text) | Q(city__icontains=text) | Q(postcode=text)
    sites = Site.objects.filter(named, organisation=access.organisation, archived_at=None)
    at = list(sites.values_list("pk", flat=True)[:MAX_FOUND])
    if at:
        return list(adapters.filter(site__in=at).values_list("pk", flat=True)[:MAX_FOUND])
    points = MeteringPoint.objects.filter(_written("name", text), organisation=access.organisation, archived_at=None)
    at = list(points.order_by().values_list("pk", flat=True)[:MAX_FOUND])
    if at:
        pairings = Pairing.objects.filter(metering_point_id__in=at, to_at=None).order_by()
        return list(pairings.values_list("adapter_id", flat=True)[:MAX_FOUND])
    return list(adapters.filter(_written("location", text)).values_list("pk", flat=True)[:MAX_FOUND])


def _written(field: str, text: str) -> Q:
    """Contains the text as it was typed, in small letters or with a capital: a third of the cost of any case."""
    variants = {text, text.lower(), text[:1].upper() + text[1:]}
    condition = Q()
    for variant in variants:
        condition |= Q(**{f"{field}__contains": variant})
    return condition


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


def latest(adapter: Adapter, places: registers.Places) -> list[Latest]:
    """The newest value of each register that the adapter's last telegrams carried, by register."""
    newest: dict[int, Reading] = {}
    for row in Reading.objects.filter(adapter=adapter).order_by("-counter")[:LATEST_ROWS]:
        if registers.measured(row.register):
            newest.setdefault(row.register, row)
    return [Latest(registers.shown(n, places), r.value, r.measured_at, n >> 5) for n, r in sorted(newest.items())]


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
        times, examples, _details = causes.setdefault(diagnosis.of_refusal(telegram.error or ""), ([], [], []))
        times.append(telegram.received_at)
        examples.append(telegram)
    for event in events.order_by("-at")[:MAX_REFUSED]:
        times, _examples, details = causes.setdefault(diagnosis.of_event(event.kind, event.reason), ([], [], []))
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
    """A stretch in which counters are missing: `lost` on the air, `skipped` by the adapter when it started anew."""

    start: datetime
    end: datetime
    lost: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Radio:
    """The newest telegrams, and the gaps between those of the last days."""

    telegrams: list[Telegram]
    gaps: list[Gap]
    received: int

    @property
    def lost(self) -> int:
        """Telegrams that were sent and never arrived."""
        return sum(gap.lost for gap in self.gaps)


def radio(adapter: Adapter) -> Radio:
    """The last raw telegrams and the gaps in the last days."""
    rows = Telegram.objects.filter(adapter=adapter)
    recent = rows.filter(received_at__gte=timezone.now() - DIAGNOSED, error=None)
    seen = recent.order_by("-received_at").values_list("epoch", "fcnt", "counter", "received_at")[:MAX_LOOKED_AT]
    points = sorted(seen, key=lambda point: point[:2])
    found = (_gap(*pair) for pair in pairwise(points))
    gaps = sorted((gap for gap in found if gap is not None), key=lambda gap: gap.end, reverse=True)
    return Radio(list(rows.order_by("-received_at")[:MAX_RAW]), gaps, len(points))


Point = tuple[int, int, int | None, datetime]  # join epoch, frame counter, inner counter, received at


def _gap(before: Point, after: Point) -> Gap | None:
    """What is missing between two telegrams that follow each other.

    The frame counter counts what was sent, the inner counter what was sealed. Where only the inner one jumps, as it
    does after a restart, nothing was lost; after a join the frame counter begins anew and cannot tell.
    """
    frames = after[1] - before[1] - 1 if after[0] == before[0] else 0
    sealed = after[2] - before[2] - 1 if after[2] is not None and before[2] is not None else frames
    lost = max(0, min(frames, sealed))
    skipped = max(0, sealed - lost)
    return Gap(before[3], after[3], lost, skipped) if (lost or skipped) and sealed < MAX_GAP else None
