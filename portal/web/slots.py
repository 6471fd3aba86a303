"""Reads for the pages of time slots: the slots of a concentrator as a list, and the slot of one adapter."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import F, Q, QuerySet
from django.http import QueryDict
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from meterwire.slots import FREQUENCIES_HZ
from portal.telemetry.models import SlotDay
from portal.telemetry.slot_queries import Discipline, discipline, drift
from portal.web import adapters, figures, slots_states
from portal.web.access import Access
from portal.web.keyset import Order, Page, paged
from portal.web.slots_course import Course, course, share, since
from portal.web.slots_room import guard_bar
from portal.web.slots_states import TROUBLES, Slotted
from portal.web.slots_wrong import wrong_at
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.fleet.queries import visible_adapters
from provisioning.slots.models import Assignment, Neighbour
from provisioning.slots.queries import conflicts, in_closed_time, visible_assignments

BY_TIME = Order(("channel", "phase_ms", "pk"))
DRIFT_DAYS = 60
RECENT_DAYS = 3
MAX_CONFLICTS = 20
FILTERS = ("", "trouble", "unsafe", "overlap", "waits", "closed", *TROUBLES)
_WAITS = Q(echoed_version=None) | ~Q(echoed_version=F("version")) | Q(echoed_state=Assignment.State.NONE)
_UNSAFE = Q(echoed_version=F("version"), echoed_state__in=(Assignment.State.NO_TRUST, Assignment.State.REFUSED))


@dataclass(frozen=True, slots=True)
class Line:
    """One slot of the list, ready to be written; `used`: how much of its guard it took lately, in per cent."""

    row: Assignment
    url: str
    eui: str
    place: str
    channel: str
    at: str
    period: str
    rate: str
    said: Slotted
    used: str


@dataclass(frozen=True, slots=True)
class Slot:
    """The slot of an adapter (`line` None: it has none), and how it was kept (`measured` None: nothing is known)."""

    line: Line | None
    course: Course | None
    measured: Discipline | None
    drift_ppm: float | None

    @property
    def used_percent(self) -> str:
        return share(self.measured.used if self.measured else None)

    @property
    def guard_bar(self) -> SafeString:
        return guard_bar(self.measured.used or 0.0 if self.measured else 0.0)

    @property
    def delivered(self) -> str:
        """Cut rather than rounded: 100 % only where nothing is missing."""
        delivery = self.measured.delivery if self.measured else None
        return figures.percent(int(delivery * 10_000), 10_000, 1) if delivery is not None else figures.NONE

    @property
    def days_left(self) -> int | None:
        """Until the guard is used up, if it goes on so."""
        left = self.measured.days_left if self.measured else None
        return None if left is None else max(1, round(left))


def lines(access: Access, concentrator: Concentrator, query: QueryDict) -> tuple[Page[Assignment], list[Line]]:
    """One page of the concentrator's slots as the query's `q` and `show` want it, in the order of channel and time."""
    wrong = wrong_at(concentrator)
    rows = visible_assignments(access.user, access.organisation).filter(concentrator=concentrator)
    if text := query.get("q", "").strip()[: adapters.MAX_SEARCH]:
        rows = rows.filter(pk__in=adapters.search(access, text))
    show = query.get("show", "")
    if show == "closed":
        rows = rows.filter(pk__in=in_closed_time(concentrator))
    found = paged(_shown(rows, show, wrong), BY_TIME, query)
    return found, _lines(found.rows, wrong)


def heard(access: Access, concentrator: Concentrator) -> list[Neighbour]:
    """Adapters of other concentrators whose slots meet one here, of those that the member may see: heard last first."""
    known = visible_adapters(access.user, access.organisation).order_by().values("pk")
    return list(conflicts(concentrator).filter(adapter__in=known).order_by("-heard_at", "pk")[:MAX_CONFLICTS])


def of_adapter(adapter: Adapter) -> Slot:
    """Its slot and how it kept it over weeks."""
    found = Assignment.objects.filter(pk=adapter.pk, concentrator__isnull=False)
    row, measured = found.select_related("adapter", "concentrator").first(), discipline(adapter)
    wrong = wrong_at(row.concentrator) if row is not None and row.concentrator is not None else {}
    rates = [one.rate_ppb for one in (measured, row) if one is not None and one.rate_ppb is not None]
    return Slot(
        line=_lines([row], wrong)[0] if row is not None else None,
        course=course(drift(adapter, days=DRIFT_DAYS)),
        measured=measured,
        drift_ppm=rates[0] / 1000 if rates else None,
    )


def moment_in(phase_ms: int, period_s: int) -> str:
    """Where in its period a slot begins: "0:07.512", with hours where the period has some."""
    minutes, ms = divmod(phase_ms, 60_000)
    seconds = figures.figure(ms / 1000, 3).zfill(6)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds}" if period_s > 3600 else f"{minutes}:{seconds}"


def channel_name(channel: int) -> str:
    """The channel as its frequency."""
    return f"{figures.figure(FREQUENCIES_HZ[channel] / 1e6, 1)} MHz"


def _shown(rows: QuerySet[Assignment], show: str, wrong: Mapping[int, str]) -> QuerySet[Assignment]:
    if show == "overlap":
        return rows.filter(overlap_ms__gt=0)
    if show == "waits":
        return rows.filter(_WAITS)
    if show == "unsafe":
        return rows.filter(_UNSAFE)
    if show == "trouble":
        return rows.filter(pk__in=list(wrong))
    if show in TROUBLES:
        return rows.filter(pk__in=[pk for pk, kind in wrong.items() if kind == show])
    return rows


def _lines(rows: list[Assignment], wrong: Mapping[int, str]) -> list[Line]:
    url = reverse("adapter", args=[0]).removesuffix("0/")
    recent = SlotDay.objects.filter(adapter__in=[row.pk for row in rows], day__gte=since(RECENT_DAYS)).order_by("day")
    used = {day.adapter_id: day.used for day in recent if day.used is not None}
    return [
        Line(
            row=row,
            url=f"{url}{row.pk}/",
            eui=figures.eui(row.adapter.dev_eui),
            place=row.adapter.location,
            channel=channel_name(row.channel),
            at=moment_in(row.phase_ms, row.period_s),
            period=_("every {time}").format(time=figures.span(row.period_s)),
            rate=figures.rate(row.data_rate),
            said=slots_states.of_row(row, wrong.get(row.pk, "")),
            used=share(used.get(row.pk)),
        )
        for row in rows
    ]
