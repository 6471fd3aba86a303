"""Signed days of an adapter: the card on its page, the list, and the proof of one day as a file."""

import json
from datetime import date

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from portal.days import proofs
from portal.days.queries import visible_days
from portal.web import days
from portal.web.access import PageRequest, page
from provisioning.errors import Conflict
from provisioning.fleet.models import Adapter
from provisioning.fleet.queries import visible_adapters


@require_safe
@page("readings.view")
def adapter_days(request: PageRequest, pk: int) -> HttpResponse:
    """All days, or the newest one for the card on the adapter's page."""
    row = _adapter(request, pk)
    found = days.page_of(row, request.GET.get("last", ""))
    context = {"adapter": row, "page": found, "latest": [line for line in found.lines if line.signed][:1]}
    part = request.htmx.target if request.htmx else None
    return render(request, "days/card.html" if part == "days" else "days/list.html", context)


@require_safe
@page("readings.export")
def adapter_day_proof(request: PageRequest, pk: int) -> HttpResponse | HttpResponseRedirect:
    """A file that a third party can check; noted in the audit."""
    row, wanted = _adapter(request, pk), _date(request.GET.get("day", ""))
    known = visible_days(request.access.user, request.access.organisation).filter(adapter=row)
    signed = None if wanted is None else known.filter(day=wanted).first()
    if signed is None:
        messages.error(request, _("There is no signature over that day."))
        return redirect("adapter-days", pk)
    if request.method == "HEAD":
        return HttpResponse(content_type="application/json")
    try:
        found = proofs.export(request.access.user, signed)
    except Conflict:
        messages.error(request, _("That day is not proven yet, so there is no proof of it."))
        return redirect("adapter-days", pk)
    answer = HttpResponse(json.dumps(found, indent=1), content_type="application/json")
    answer["Content-Disposition"] = f'attachment; filename="signed-day-{row.dev_eui}-{signed.day}.json"'
    answer["Cache-Control"] = "private, no-store"
    return answer


def _adapter(request: PageRequest, pk: int) -> Adapter:
    access = request.access
    for archived in (False, True):
        rows = visible_adapters(access.user, access.organisation, action="readings.view", archived=archived)
        found = rows.filter(pk=pk).first()
        if found is not None:
            return found
    raise Http404("no such adapter")


def _date(text: str) -> date | None:
    try:
        return parse_date(text[:10])
    except ValueError:
        return None
