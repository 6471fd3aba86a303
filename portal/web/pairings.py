"""Reads for the list of pairings: its filters and search, and its lines ready to be written."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.web import figures, states
from portal.web.access import Access
from portal.web.keyset import Order, Page, paged
from portal.web.states import State
from provisioning.accounts.models import Membership, User
from provisioning.accounts.permissions import roles_with
from provisioning.fleet.models import Adapter, Meter, MeteringPoint, Site
from provisioning.pairing.models import Pairing, PairingStep
from provisioning.pairing.queries import visible_pairings

MAX_SEARCH = 60
MAX_FOUND = 200
MAX_PEOPLE = 200
NEWEST = Order(("-pk",))  # a pairing is written when it is made: the key is its order, and has an index
NUMBER = re.compile(r"(?=.*\d)[0-9A-Z]{3,16}")
DEV_EUI = re.compile(r"[0-9A-F]{16}")
METER_ID = re.compile(r"\d[A-Z]{3}\d{10}")
HEX = re.compile(r"[0-9A-F]{3,16}")

_OPEN = Q(to_at=None)
_COMPARE = Q(state=Pairing.State.PENDING, identity=Pairing.Identity.UNREADABLE)
_MISMATCH = Q(identity=Pairing.Identity.MISMATCH)
FILTERS: dict[str, Q] = {
    "": _OPEN,
    "pending": _OPEN & Q(state=Pairing.State.PENDING) & ~_COMPARE & ~_MISMATCH,
    "compare": _OPEN & _COMPARE,
    "mismatch": _OPEN & _MISMATCH,
    "confirmed": _OPEN & Q(state=Pairing.State.CONFIRMED),
    "ended": Q(state=Pairing.State.ENDED),
    "all": Q(),
}
# What is waited for while a station was not reached; claimed and paired are the pairing itself.
_WAITED: tuple[tuple[str, str | Promise], ...] = (
    (PairingStep.Step.INFORMED, gettext_lazy("the concentrator takes it over")),
    (PairingStep.Step.JOINED, gettext_lazy("the adapter joins")),
    (PairingStep.Step.CONFIGURED, gettext_lazy("the adapter is configured")),
    (PairingStep.Step.IDENTITY, gettext_lazy("the meter tells its number")),
    (PairingStep.Step.READING, gettext_lazy("the first reading")),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the list; `step` is the station that is waited for, `since` since when."""

    pairing: Pairing
    url: str
    point: str
    site: str
    site_url: str
    meter: str
    eui: str
    adapter_url: str
    who: str
    state: State
    step: str
    since: datetime | None


def lines(access: Access, query: QueryDict, site: Site | None = None) -> Page[Pairing]:
    """One page of pairings as the query's `state`, `q`, `who` and `site` want it, newest first."""
    rows = visible_pairings(access.user, access.organisation).select_related("claimed_by")
    rows = rows.filter(FILTERS.get(state_of(query), _OPEN))
    if site is not None:
        rows = rows.filter(metering_point__site=site)
    if who := _number(query.get("who", "")):
        rows = rows.filter(claimed_by=who)
    if text := query.get("q", "").strip()[:MAX_SEARCH]:
        rows = rows.filter(pk__in=search(access, text))
    return paged(rows, NEWEST, query)


def state_of(query: QueryDict) -> str:
    """The filter asked for; the open ones when it is none that exists."""
    asked = query.get("state", "")
    return asked if asked in FILTERS else ""


def as_lines(rows: list[Pairing]) -> list[Line]:
    """The rows with their states and, while they are pending, the station that is waited for."""
    waiting = [row.pk for row in rows if row.state == Pairing.State.PENDING]
    reached = _reached(waiting)
    return [_line(row, reached.get(row.pk, {})) for row in rows]


def people(access: Access) -> list[tuple[int, str]]:
    """Who can pair in this organisation, to choose from."""
    members = Membership.objects.filter(organisation=access.organisation, role__in=roles_with("pairing.create"))
    found = members.select_related("user").order_by("user__email")[:MAX_PEOPLE]
    return [(member.user_id, name_of(member.user)) for member in found]


def name_of(user: User | None) -> str:
    """A person's name, else the email address; nobody: empty."""
    return (user.get_full_name() or user.email) if user is not None else ""


def search(access: Access, text: str) -> list[int]:
    """At most MAX_FOUND pairings by DevEUI, number of the meter (blanks do not matter), metering point or note."""
    compact = re.sub(r"[\s\-:.]", "", text).upper()
    rows = visible_pairings(access.user, access.organisation).select_related(None).order_by("-pk")
    if NUMBER.fullmatch(compact):
        found = _keys(rows.filter(_by_number(access, compact)))
        if found:
            return found
    return _keys(rows.filter(_by_words(access, text, compact)))


def _by_number(access: Access, compact: str) -> Q:
    """Whole numbers are found by their index, parts of them by a look through the narrow tables."""
    adapters = Adapter.objects.filter(organisation=access.organisation).order_by()
    meters = Meter.objects.filter(organisation=access.organisation).order_by()
    whole_meter, whole_eui = METER_ID.fullmatch(compact), DEV_EUI.fullmatch(compact)
    meters = meters.filter(meter_id=compact) if whole_meter else meters.filter(meter_id__contains=compact)
    condition = Q(meter__in=_keys(meters))
    if whole_eui:
        condition |= Q(adapter__in=_keys(adapters.filter(dev_eui=compact.lower())))
    elif HEX.fullmatch(compact) and not whole_meter:
        condition |= Q(adapter__in=_keys(adapters.filter(dev_eui__contains=compact.lower())))
    return condition


def _by_words(access: Access, text: str, compact: str) -> Q:
    points = MeteringPoint.objects.filter(organisation=access.organisation).order_by()
    named = points.filter(Q(name__icontains=text) | Q(melo_id=compact))
    return Q(metering_point__in=_keys(named)) | Q(note__icontains=text)


def _keys(rows: QuerySet[Pairing] | QuerySet[Adapter] | QuerySet[Meter] | QuerySet[MeteringPoint]) -> list[int]:
    return list(rows.values_list("pk", flat=True)[:MAX_FOUND])


def _reached(keys: Iterable[int]) -> dict[int, dict[str, datetime]]:
    found: dict[int, dict[str, datetime]] = {}
    steps = PairingStep.objects.filter(pairing_id__in=list(keys)).order_by()
    for key, step, at in steps.values_list("pairing_id", "step", "at"):
        found.setdefault(key, {})[step] = at
    return found


def _line(row: Pairing, reached: dict[str, datetime]) -> Line:
    point = row.metering_point
    step, since = waited_for(row, reached)
    return Line(
        pairing=row,
        url=reverse("pairing", args=[row.pk]),
        point=point.name,
        site=point.site.name,
        site_url=reverse("site", args=[point.site_id]),
        meter=row.meter.meter_id if row.meter else "",
        eui=figures.eui(row.adapter.dev_eui),
        adapter_url=reverse("adapter", args=[row.adapter_id]),
        who=name_of(row.claimed_by),
        state=states.of_pairing(row),
        step=step,
        since=since,
    )


def waited_for(row: Pairing, reached: dict[str, datetime]) -> tuple[str, datetime | None]:
    """The next station in words, and since when it is waited for; ("", None) for what waits for nothing more."""
    if row.state != Pairing.State.PENDING:
        return "", None
    if row.identity == Pairing.Identity.MISMATCH:
        return _("an operator decides"), row.identity_at or row.from_at
    if row.identity == Pairing.Identity.UNREADABLE:
        return _("somebody compares the display"), row.identity_at or row.from_at
    since = max(reached.values(), default=row.from_at)
    for step, words in _WAITED:
        if step not in reached:
            return str(words), since
    return _("sealed proof of the meter's number"), since


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 12 else None
