"""What about time slots needs somebody: by concentrator and cause, with what to do; never one row per adapter."""

from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Count, Min, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.telemetry.slot_queries import Trouble, troubles
from portal.web import figures, slots_states
from portal.web.access import Access, reach_of
from portal.web.incident import Incident
from portal.web.shelf import Shelf
from portal.web.slots_course import share
from portal.web.slots_states import TROUBLES
from portal.web.states import Form
from provisioning.fleet.models import Concentrator
from provisioning.slots.models import Neighbour, SlotPlan

FRESH_S = 10.0
MAX_INCIDENTS = 60
_MILD = {"guard", "drift", "conflict"}
Key = tuple[int, frozenset[int] | None]


@dataclass(frozen=True, slots=True)
class Case:
    """What is so of `adapters` of a concentrator; `kind`: that of a trouble, "full" or "conflict". `figure`: the worst
    one that was measured.
    """

    kind: str
    concentrator: int
    adapters: int
    since: datetime | None
    figure: float | None = None
    place: str = ""


def incidents(access: Access) -> list[Incident]:
    """For whoever may look at the fleet."""
    return [_told(case) for case in shelf.get(reach_of(access))] if access.may("fleet.view") else []


def take(key: Key) -> list[Case]:
    """Ask the database: wrong clocks first, mild cases last, else those with the most adapters first."""
    organisation, sites = key
    there = Concentrator.objects.filter(organisation_id=organisation, archived_at=None, revoked_at=None)
    if sites is not None:
        there = there.filter(site__in=sites)
    found = sorted([*_measured(there), *_full(there), *_conflicts(there)], key=_urgency)[:MAX_INCIDENTS]
    rows = there.filter(pk__in={case.concentrator for case in found}).values_list("pk", "name", "site__name")
    names = {pk: site or name for pk, name, site in rows}
    return [replace(case, place=names[case.concentrator]) for case in found if case.concentrator in names]


def _urgency(case: Case) -> tuple[bool, bool, int]:
    return case.kind in _MILD, case.kind != "clock", -case.adapters


def _measured(there: QuerySet[Concentrator]) -> list[Case]:
    groups: dict[tuple[int, str], list[Trouble]] = {}
    for one in troubles(there):
        groups.setdefault((one.concentrator_id, one.kind), []).append(one)
    return [
        Case(kind, pk, len(some) if kind != "clock" else 0, min(one.since for one in some), _worst(kind, some))
        for (pk, kind), some in groups.items()
    ]


def _worst(kind: str, some: list[Trouble]) -> float | None:
    known = [one.figure for one in some if one.figure is not None]
    if not known:
        return None
    return min(known) if kind == "lost" else max(known, key=abs)


def _full(there: QuerySet[Concentrator]) -> list[Case]:
    plans = SlotPlan.objects.filter(concentrator__in=there, full_since__isnull=False)
    overlapping = Count("concentrator__slots", filter=Q(concentrator__slots__overlap_ms__gt=0))
    rows = plans.annotate(n=overlapping).values_list("pk", "n", "full_since")
    return [Case("full", pk, n, since) for pk, n, since in rows]


def _conflicts(there: QuerySet[Concentrator]) -> list[Case]:
    believed = Neighbour.objects.filter(concentrator__in=there, expires_at__gt=timezone.now())
    rows = believed.filter(conflict=True).order_by()
    met = rows.values_list("concentrator").annotate(n=Count("pk"), since=Min("heard_at"))
    return [Case("conflict", pk, n, since) for pk, n, since in met]


def _told(case: Case) -> Incident:
    title, text, cure = _words(case)
    form: Form = "warn" if case.kind in _MILD else "bad"
    url = reverse("concentrator-slots", args=[case.concentrator])
    show = f"?show={case.kind}" if case.kind in TROUBLES else "?show=overlap" if case.kind == "full" else ""
    return Incident(form, f"{case.place}: {title}", text, case.since, case.adapters, url + show, cure)


def _words(case: Case) -> tuple[str, str, str]:
    """What happened, how bad it is, and what to do."""
    n, figure = figures.figure(case.adapters), case.figure
    match case.kind:
        case "full":
            return (
                _("no room for slots of their own"),
                ngettext(
                    "{n} adapter shares time with others", "{n} adapters share time with others", case.adapters
                ).format(n=n),
                _("Its slot map says what would make room: a better data rate, a smaller guard, another concentrator."),
            )
        case "conflict":
            title = ngettext(
                "{n} slot of a neighbour meets one there", "{n} slots of neighbours meet some there", case.adapters
            )
            text = _("Both concentrators hear the adapter, and telegrams may be lost.")
            return title.format(n=n), text, slots_states.said("conflict").cure
        case "clock":
            text = (
                _("Its adapters contradict it.")
                if figure is None
                else _("It jumped by {s} s.").format(s=figures.figure(figure, 1))
            )
            cure = _("Look at its time server. Until then its adapters are told no time, and fall back by themselves.")
            return _("the clock cannot be trusted"), text, cure
        case "guard":
            title = ngettext(
                "{n} adapter has nearly used up its guard", "{n} adapters have nearly used up theirs", case.adapters
            )
            text = _("Nothing is lost yet. The worst uses {share} of it.").format(share=share(figure))
        case "drift":
            title = ngettext(
                "the clock of {n} adapter drifts far", "the clocks of {n} adapters drift far", case.adapters
            )
            text = _("By {ppm} ppm at most.").format(ppm=figures.figure(figure, 0))
        case "lost":
            title = ngettext(
                "{n} adapter loses telegrams in its slot", "{n} adapters lose telegrams in their slots", case.adapters
            )
            text = _("Of the worst one {share} arrive.").format(share=share(figure))
        case "outside":
            title = ngettext("{n} adapter ignores its slot", "{n} adapters ignore their slots", case.adapters)
            text = _("Of the worst one {share} come outside of it, and disturb others.").format(share=share(figure))
        case _:
            title = ngettext(
                "{n} adapter runs another slot than given", "{n} adapters run other slots than given", case.adapters
            )
            text = _("They send in what may be somebody else's time.")
    return title.format(n=n), text, slots_states.said(case.kind).cure


shelf: Shelf[Key, list[Case]] = Shelf(take, FRESH_S)
