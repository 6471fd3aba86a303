"""Adapters: the list, the page of one, its charts as data, and archiving it."""

from datetime import datetime, timedelta

from django.contrib import messages
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from meterwire.errors import MeterspanError
from portal.telemetry import sealed_asking
from portal.web import adapters, archive, life, linkquality, registers, sealed, series, states, summary
from portal.web.access import PageRequest, page
from portal.web.figures import day
from portal.web.pairings_heard import heard_of
from provisioning.errors import Forbidden
from provisioning.fleet.models import Adapter
from provisioning.fleet.queries import visible_adapters, visible_sites
from provisioning.fleet.services import archive_adapter
from provisioning.keys.models import DeviceKey
from provisioning.pairing.models import Configuration

MAX_SITES_LISTED = 300
YOUNG = timedelta(hours=3)
YOUNG_MARGIN, YOUNG_LEAST = 0.04, timedelta(seconds=20)  # before the first reading of a young adapter


@require_safe
@page("fleet.view")
def adapter_list(request: PageRequest) -> HttpResponse:
    """The fleet, page by page."""
    access = request.access
    chosen = request.GET.get("site", "")
    places = visible_sites(access.user, access.organisation)
    site = places.filter(pk=int(chosen)).first() if chosen.isdecimal() and len(chosen) < 12 else None
    found = adapters.lines(access, request.GET, site)
    context = {
        "page": found,
        "lines": adapters.as_lines(found.rows, timezone.now()),
        "total": summary.snapshot(access).total,
        "state": request.GET.get("state", ""),
        "sort": adapters.sort_of(request.GET),
        "query": request.GET.get("q", "")[: adapters.MAX_SEARCH],
        "refused": request.GET.get("refused", "")[:40],
        "site": site,
        "sites": places.order_by("name").values_list("pk", "name")[:MAX_SITES_LISTED],
    }
    part = request.htmx.target if request.htmx else None
    return render(request, "adapters/table.html" if part == "adapters" else "adapters/list.html", context)


@require_safe
@page("fleet.view")
def adapter(request: PageRequest, pk: int) -> HttpResponse:
    """Everything known of one adapter; a live part of it when htmx asks for that."""
    access = request.access
    row = _adapter(request, pk)
    status = adapters.status_of(row)
    pairings = list(row.pairings.select_related("metering_point__site", "meter").order_by("-from_at")[:20])
    open_ones = sorted((p for p in pairings if p.to_at is None), key=lambda p: p.input)
    places = {p.input: p.metering_point.name for p in open_ones}
    reads, diagnoses = access.may("readings.view"), access.may("telemetry.diagnose")
    latest = adapters.latest(row, places) if reads else []
    first = adapters.first_reading(row)
    now = timezone.now()
    context: dict[str, object] = {
        "adapter": row,
        "status": status,
        "state": states.of_adapter(status, now, row.archived_at is not None),
        "open": open_ones,
        "pairings": pairings,
        "meter": next((p.meter for p in open_ones if p.meter), None),
        "life": life.of_adapter(row, status, open_ones, first, now),
        "latest": latest,
        "sealed": bool(latest) and all(one.value is None for one in latest),
        "reads": reads,
        "diagnoses": diagnoses,
        "radio": adapters.radio(row) if diagnoses else None,
        "refusals": adapters.refusals(row) if diagnoses else [],
        "heard": None if open_ones or row.archived_at else heard_of(row),
        "restorable_until": _restorable(row, now),
    }
    part = request.htmx.target if request.htmx else None
    if part in {"head", "latest", "link", "refused", "raw"}:
        return render(request, f"adapters/{part}.html", context)
    groups = series.groups([one.shown.number for one in latest], places)
    context["groups"] = [
        (key, registers.group_name(key, places), [r.counter for r in rows]) for key, rows in groups.items()
    ]
    # A chart of a day says nothing about the first minutes of an adapter.
    context["range"] = "hour" if first is None or now - first < YOUNG else "day"
    context["purposes"] = sealed.purposes(access)
    context["configuration"] = Configuration.objects.filter(adapter=row).first()
    if access.may("keys.view"):
        context["keys"] = DeviceKey.objects.filter(adapter=row).exclude(state="destroyed").defer("sealed")[:20]
    return render(request, "adapters/adapter.html", context)


@require_safe
@page("readings.view")
def adapter_series(request: PageRequest, pk: int) -> JsonResponse:
    """One chart's data."""
    return _series(request, pk)


@require_POST
@page("readings.open")
def adapter_series_open(request: PageRequest, pk: int) -> JsonResponse:
    """One chart's data with its sealed values opened, which the audit keeps; or why they cannot be."""
    try:
        return _series(request, pk, sealed.Opening(request.access.user, request.POST.get("purpose", "")))
    except MeterspanError as error:
        status = 403 if isinstance(error, Forbidden) else 503 if error.temporary else 400
        return JsonResponse({"error": str(error)}, status=status)


def _series(request: PageRequest, pk: int, opening: sealed.Opening | None = None) -> JsonResponse:
    row = _adapter(request, pk)
    window = _window(request)
    places = dict(row.pairings.filter(to_at=None).values_list("input", "metering_point__name"))
    known = series.groups([one.shown.number for one in adapters.latest(row, places)], places)
    group = request.GET.get("group", "")
    view: series.View = "counter" if request.GET.get("view") == "counter" else "flow"
    if group not in known:
        raise Http404("no such group of registers")
    drawn = series.chart(row, known[group], window, view, opening)
    opens = drawn.sealed > 0 and sealed_asking.has_sealed(row.pk)
    return _answer(drawn.as_json() | {"opens": opens}, window, row)


@require_safe
@page("telemetry.diagnose")
def adapter_link(request: PageRequest, pk: int) -> JsonResponse:
    """The radio chart's data."""
    row, window = _adapter(request, pk), _window(request)
    return _answer(linkquality.link(row, window), window, row)


@require_http_methods(["GET", "HEAD", "POST"])
@page("fleet.edit")
def adapter_archive(request: PageRequest, pk: int) -> HttpResponse:
    """Ask what will be gone, then archive."""
    access = request.access
    row = _adapter(request, pk)
    if row.archived_at is not None:
        return redirect("adapter", pk)
    refusal = ""
    if request.method == "POST":
        if request.POST.get("confirm", "").strip().lower() != row.dev_eui[-4:]:
            refusal = _("The last four digits do not agree. Nothing was changed.")
        else:
            try:
                archive_adapter(access.user, row)
            except Forbidden:
                raise
            except MeterspanError as error:
                refusal = str(error)
            else:
                summary.forget(access)
                messages.success(
                    request, _("The adapter is archived. Its readings stay; for 30 days it can be restored.")
                )
                return redirect("adapters")
    open_ones = row.pairings.filter(to_at=None).select_related("metering_point")
    return render(
        request,
        "adapters/archive.html",
        {"adapter": row, "refusal": refusal, "open": open_ones},
        status=409 if refusal else 200,
    )


def _adapter(request: PageRequest, pk: int) -> Adapter:
    """An adapter of the organisation, archived or not; 404 for another's."""
    access = request.access
    for archived in (False, True):
        rows = visible_adapters(access.user, access.organisation, archived=archived).select_related("status")
        found = rows.filter(pk=pk).first()
        if found is not None:
            return found
    raise Http404("no such adapter")


def _restorable(row: Adapter, now: datetime) -> datetime | None:
    end = None if row.archived_at is None else archive.until(row.archived_at)
    return end if end is not None and now < end else None


def _window(request: PageRequest) -> series.Window:
    return series.Window.of(request.GET.get("range", ""), request.GET.get("end", ""), timezone.now())


def _beginning(window: series.Window, row: Adapter, now: datetime) -> datetime:
    """Where the time axis begins: a young adapter's first minutes fill the chart, not its right edge."""
    born = adapters.first_reading(row) if window.range in series.HOURS else None
    if born is None or not window.start < born < now:
        return window.start
    return max(window.start, born - max((now - born) * YOUNG_MARGIN, YOUNG_LEAST))


def _answer(data: dict[str, object], window: series.Window, row: Adapter) -> JsonResponse:
    now = timezone.now()
    data |= {
        "start": _beginning(window, row, now).timestamp(),
        "end": window.end.timestamp(),
        "before": int(window.before.timestamp()),
        "after": None if window.newest else int(window.after.timestamp()),
        "label": f"{day(window.start)} – {day(min(window.end, now))}",
    }
    answer = JsonResponse(data)
    answer["Cache-Control"] = "private, no-store"
    return answer
