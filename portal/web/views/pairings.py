"""Pairings: the list, and the page of one."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal.telemetry.commissioning import waiting_for
from portal.web import life, pairings, pairings_counts, pairings_page
from portal.web.access import PageRequest, page
from provisioning.fleet.queries import visible_sites
from provisioning.pairing.models import Pairing, PairingStep
from provisioning.pairing.queries import visible_pairings

MAX_SITES_LISTED = 300


@require_safe
@page("fleet.view")
def pairing_list(request: PageRequest) -> HttpResponse:
    """All pairings, page by page."""
    access = request.access
    chosen = request.GET.get("site", "")
    places = visible_sites(access.user, access.organisation)
    site = places.filter(pk=int(chosen)).first() if chosen.isdecimal() and len(chosen) < 12 else None
    found = pairings.lines(access, request.GET, site)
    context = {
        "page": found,
        "lines": pairings.as_lines(found.rows),
        "counts": pairings_counts.of(access),
        "state": pairings.state_of(request.GET),
        "query": request.GET.get("q", "")[: pairings.MAX_SEARCH],
        "site": site,
        "who": request.GET.get("who", "")[:12],
        "sites": places.order_by("name").values_list("pk", "name")[:MAX_SITES_LISTED],
        "people": pairings.people(access),
    }
    part = request.htmx.target if request.htmx else None
    return render(request, "pairings/table.html" if part == "pairings" else "pairings/list.html", context)


@require_safe
@page("fleet.view")
def pairing(request: PageRequest, pk: int) -> HttpResponse:
    """Everything known of one pairing."""
    access = request.access
    rows = visible_pairings(access.user, access.organisation).select_related("claimed_by", "adapter__concentrator")
    row: Pairing = get_object_or_404(rows, pk=pk)
    steps = {step.step: step for step in row.steps.all()}
    reached = {name: step.at for name, step in steps.items()}
    claimed_at = reached.get(PairingStep.Step.CLAIMED, row.from_at)
    configuration, configured = pairings_page.configuration_of(row)
    context = {
        "pairing": row,
        **pairings_page.sight(access, row),
        "life": life.of_pairing(row, reached),
        "claimed_at": claimed_at,
        "claimed": PairingStep.Step.CLAIMED in steps,
        "who": pairings.name_of(row.claimed_by),
        "offline": pairings_page.offline(row, claimed_at),
        "waiting": waiting_for(row, timezone.now()) if row.state == Pairing.State.PENDING else None,
        "configuration": configuration,
        "configured": configured,
        "held": pairings_page.held(row),
        "history": pairings_page.history(access, row),
    }
    part = request.htmx.target if request.htmx else None
    return render(request, "pairings/live.html" if part == "pairing" else "pairings/pairing.html", context)
