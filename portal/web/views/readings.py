"""Readings: the newest value of every meter, and the export of a range as CSV."""

from datetime import date, timedelta

from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from portal.telemetry.sealed_asking import Purpose
from portal.web import adapters, figures, readings, registers
from portal.web.access import PageRequest, page
from portal.web.keyset import Order, paged
from portal.web.sealed import Opening, purposes
from provisioning.audit.services import audited, record
from provisioning.fleet.models import Adapter, Site
from provisioning.fleet.queries import visible_adapters, visible_sites
from provisioning.keys.vault_client import answers

MAX_SITES_LISTED = 300
MAX_EXPORTED = 20_000  # adapters
EARLIEST = date(2000, 1, 1)
_KNOWN = dict.fromkeys(readings.CHOICES)


@require_safe
@page("readings.view")
def reading_list(request: PageRequest) -> HttpResponse:
    """The newest value of one register, meter by meter."""
    site = _site(request)
    number = _register(request) or 1
    shown = registers.shown(number)
    rows = readings.newest(_adapters(request, site), number)
    found = paged(adapters.listed(rows), Order(("dev_eui",)), request.GET)
    start, end = readings.window(*_days(request))
    context = {
        "page": found,
        "lines": readings.as_newest(found.rows, shown),
        "shown": shown,
        "register": number,
        "registers": readings.choices(),
        "site": site,
        "sites": visible_sites(request.access.user, request.access.organisation)
        .order_by("name")
        .values_list("pk", "name")[:MAX_SITES_LISTED],
        "query": request.GET.get("q", "")[: adapters.MAX_SEARCH],
        "first": timezone.localtime(start).date(),
        "last": timezone.localtime(end - timedelta(seconds=1)).date(),
        "purposes": purposes(request.access) if request.access.organisation.sealed_telemetry else [],
    }
    part = request.htmx.target if request.htmx else None
    return render(request, "readings/table.html" if part == "readings" else "readings/list.html", context)


@require_safe
@page("readings.export")
def reading_export(request: PageRequest) -> HttpResponseBase:
    """A CSV file of the chosen meters and days; the export is noted in the audit."""
    access = request.access
    site = _site(request)
    register = _register(request) if request.GET.get("all") != "1" else None
    start, end = readings.window(*_days(request))
    keys = tuple(_adapters(request, site).order_by("dev_eui").values_list("pk", flat=True)[: MAX_EXPORTED + 1])
    if len(keys) > MAX_EXPORTED:
        text = _("More than {n} adapters are chosen. Choose a site or search for a meter, or use the API.")
        return _refused(request, 400, _("Too much for one file"), text.format(n=figures.figure(MAX_EXPORTED)))
    purpose = request.GET.get("purpose", "")
    opening = _opening(request, purpose) if purpose else None
    if opening is not None and not answers():
        text = _("The vault does not answer, so sealed values cannot be opened; look at it, or export without them.")
        return _refused(request, 503, _("Sealed values stay closed"), text)
    wanted = readings.Export(
        keys, (register,) if register else (), start, end, request.GET.get("resolution") == "hour", opening
    )
    if request.method == "HEAD":
        return HttpResponse(content_type="text/csv; charset=utf-8")
    with audited(access.organisation):
        days = f"{timezone.localtime(start):%Y-%m-%d} to {timezone.localtime(end):%Y-%m-%d}"
        data = {"adapters": len(keys), "site": site.name if site else None, "days": days, "hourly": wanted.hourly}
        if opening is not None:
            data["purpose"] = opening.purpose
        record(access.organisation, access.user, "readings.exported", site, data)
    answer = StreamingHttpResponse(readings.export(wanted), content_type="text/csv; charset=utf-8")
    name = f"readings-{timezone.localtime(start):%Y%m%d}-{timezone.localtime(end):%Y%m%d}.csv"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "private, no-store"
    return answer


def _opening(request: PageRequest, purpose: str) -> Opening | None:
    """Who may not open learns it before the file begins; the vault asks again. A purpose that is none opens nothing."""
    request.access.require("readings.open")
    return Opening(request.access.user, purpose) if purpose in Purpose.values else None


def _refused(request: PageRequest, status: int, title: str, text: str) -> HttpResponse:
    return render(request, "readings/refused.html", {"title": title, "text": text}, status=status)


def _adapters(request: PageRequest, site: Site | None) -> QuerySet[Adapter]:
    access = request.access
    rows = visible_adapters(access.user, access.organisation, action="readings.view")
    if site is not None:
        rows = rows.filter(site=site)
    chosen = request.GET.get("adapter", "")
    if chosen.isdecimal() and len(chosen) < 12:
        rows = rows.filter(pk=int(chosen))
    text = request.GET.get("q", "").strip()[: adapters.MAX_SEARCH]
    return rows.filter(pk__in=adapters.search(access, text)) if text else rows


def _site(request: PageRequest) -> Site | None:
    chosen = request.GET.get("site", "")
    if not chosen.isdecimal() or len(chosen) > 11:
        return None
    return visible_sites(request.access.user, request.access.organisation).filter(pk=int(chosen)).first()


def _register(request: PageRequest) -> int | None:
    chosen = request.GET.get("register", "")
    return int(chosen) if chosen.isdecimal() and len(chosen) < 4 and int(chosen) in _KNOWN else None


def _days(request: PageRequest) -> tuple[date | None, date | None]:
    found: list[date | None] = []
    latest = timezone.localdate() + timedelta(days=1)
    for name in ("first", "last"):
        try:
            day = parse_date(request.GET.get(name, "")[:10])
        except ValueError:
            day = None
        found.append(min(max(day, EARLIEST), latest) if day else None)
    return found[0], found[1]
