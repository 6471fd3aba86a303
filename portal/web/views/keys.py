"""Keys: the inventory with its figures, its export, one key, and deliveries that failed."""

from typing import Any

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.web import keys_counts, keys_history, keys_list, keys_words
from portal.web.access import PageRequest, page
from portal.web.keyset import Order, paged
from portal.web.views.keys_deeds import STEPS, possible
from provisioning.audit.services import audited, record
from provisioning.campaigns.queries import failures
from provisioning.fleet.queries import visible_sites
from provisioning.keys.models import DeviceKey, KeyState
from provisioning.keys.queries import visible_keys

MAX_SITES_LISTED = 300
MAX_DELIVERIES = 50


@require_safe
@page("keys.view")
def key_list(request: PageRequest) -> HttpResponse:
    """The inventory, page by page, under the figures that people look at first."""
    access, now = request.access, timezone.now()
    choice = keys_list.chosen(access, request.GET)
    found = paged(keys_list.rows(access, choice, now), keys_list.order(choice), request.GET)
    counts = keys_counts.counts(access)
    context = {
        "page": found,
        "lines": keys_list.lines(found.rows),
        "choice": choice,
        "counts": counts,
        "reasons": [(keys_words.reason(code), count) for code, count in counts.reasons],
        "purposes": keys_words.purposes(),
        "states": KeyState.choices,
        "sites": visible_sites(access.user, access.organisation)
        .order_by("name")
        .values_list("pk", "name")[:MAX_SITES_LISTED],
        "query": _query(request),
    }
    return render(request, "keys/list.html", context)


@require_safe
@page("keys.view")
def key_export(request: PageRequest) -> HttpResponseBase:
    """What the filters leave as CSV: everything about the keys but their values. It is noted in the audit."""
    access = request.access
    choice = keys_list.chosen(access, request.GET)
    rows = keys_list.rows(access, choice, timezone.now())
    if request.method == "HEAD":
        return HttpResponse(content_type="text/csv; charset=utf-8")
    with audited(access.organisation):
        record(access.organisation, access.user, "keys.exported", None, {"filters": choice.filters})
    answer = StreamingHttpResponse(keys_list.export(rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="keys.csv"'
    answer["Cache-Control"] = "private, no-store"
    return answer


@require_safe
@page("keys.view")
def key(request: PageRequest, pk: int) -> HttpResponse:
    """One key: its life, its deliveries, what was done with it and what can be done."""
    access = request.access
    row: Any = get_object_or_404(visible_keys(access.user, access.organisation).select_related("adapter__site"), pk=pk)
    entries, held = keys_history.entries(row), _held(row)
    deliveries = row.deliveries.select_related("campaign").defer("private").order_by("-pk")[:MAX_DELIVERIES]
    context = {
        "key": row,
        "title": keys_words.title(row),
        "purpose": keys_words.purpose_name(row.purpose),
        "partner": keys_words.partner_name(row),
        "life": keys_history.life(row, entries),
        "deeds": keys_history.deeds(entries),
        "deliveries": [(one, keys_words.of_delivery(one.state), _why(one)) for one in deliveries],
        "steps": [STEPS[name] for name in possible(row)] if access.may("keys.lifecycle") else [],
        "leaves": access.may("keys.reveal") and held,
        "held": held,
    }
    return render(request, "keys/key.html", context)


@require_safe
@page("keys.view")
def key_failures(request: PageRequest) -> HttpResponse:
    """Deliveries that failed and that nothing has made good for since, with what to do."""
    access = request.access
    found = paged(failures(access.user, access.organisation), Order(("-pk",)), request.GET)
    lines = [(row, keys_words.purpose_name(row.campaign.purpose), _why(row)) for row in found.rows]
    return render(request, "keys/failures.html", {"page": found, "lines": lines})


def _held(row: DeviceKey) -> bool:
    """Whether there is a value here; that of a key agreed with a concentrator never was."""
    return DeviceKey.objects.filter(pk=row.pk).exclude(sealed=b"").exists()


def _why(row: Any) -> str:
    return keys_words.reason(row.code, row.message) if row.code or row.message else ""


def _query(request: PageRequest) -> str:
    copy = request.GET.copy()
    for cursor in ("after", "before"):
        copy.pop(cursor, None)
    return copy.urlencode()
