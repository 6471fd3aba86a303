"""Time slots: the map of a concentrator with its list, the map's data, and the slot of one adapter."""

import hashlib
import json

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import get_conditional_response
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from portal.web import adapters, slots, slots_map, slots_room
from portal.web.access import PageRequest, page
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.fleet.queries import visible_adapters, visible_concentrators

PARTS = {"slots": "slots/table.html", "slots-card": "slots/concentrator_card.html", "room": "slots/room.html"}


@require_safe
@page("fleet.view")
def concentrator_slots(request: PageRequest, pk: int) -> HttpResponse:
    """The map, how full it is, and the slots as a list; or one part of it for htmx."""
    access, row = request.access, _concentrator(request, pk)
    part = PARTS.get(request.htmx.target or "") if request.htmx else None
    context: dict[str, object] = {"concentrator": row}
    if part != PARTS["slots"]:
        context["room"] = slots_room.room(row, more=part != PARTS["slots-card"])
    if part in (None, PARTS["slots"]):
        found, lines = slots.lines(access, row, request.GET)
        show = request.GET.get("show", "")
        context |= {
            "page": found,
            "lines": lines,
            "query": request.GET.get("q", "")[: adapters.MAX_SEARCH],
            "state": show if show in slots.FILTERS else "",
        }
    if part is None:
        context["conflicts"] = slots.heard(access, row)
    return render(request, part or "slots/concentrator.html", context)


@gzip_page
@require_safe
@page("fleet.view")
def concentrator_slot_map(request: PageRequest, pk: int) -> HttpResponse:
    """The map's columns as JSON; who has them already gets 304."""
    body = json.dumps(slots_map.drawn(request.access, _concentrator(request, pk)), separators=(",", ":")).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    answer = HttpResponse(body, content_type="application/json", headers={"ETag": etag})
    answer["Cache-Control"] = "private, no-cache"
    return get_conditional_response(request, etag=etag, response=answer) or answer


@require_safe
@page("fleet.view")
def adapter_slot(request: PageRequest, pk: int) -> HttpResponse:
    """The slot of an adapter: a page, the card of the adapter's page, or the panel beside the map."""
    row = _adapter(request, pk)
    target = request.htmx.target if request.htmx else None
    template = {"slot": "slots/card.html", "panel": "slots/panel.html"}.get(target or "", "slots/adapter.html")
    return render(request, template, {"adapter": row, "slot": slots.of_adapter(row)})


def _concentrator(request: PageRequest, pk: int) -> Concentrator:
    return get_object_or_404(visible_concentrators(request.access.user, request.access.organisation), pk=pk)


def _adapter(request: PageRequest, pk: int) -> Adapter:
    access = request.access
    for archived in (False, True):
        found = visible_adapters(access.user, access.organisation, archived=archived).filter(pk=pk).first()
        if found is not None:
            return found
    raise Http404("no such adapter")
