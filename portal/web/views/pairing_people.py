"""Around pairing: devices that ask to join and are paired with nothing, and people who may not scan any more."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from portal.telemetry.commissioning import UNPAIRED_WITHIN, heard_unpaired
from portal.web import summary
from portal.web.access import PageRequest, page, reach_of
from portal.web.pairings import name_of
from provisioning.accounts.models import User
from provisioning.fleet.access import require_at
from provisioning.pairing.models import WrongClaim
from provisioning.pairing.queries import blocked_people
from provisioning.pairing.services import clear_wrong_claims

MAX_TRIED = 20


@require_safe
@page("telemetry.diagnose")
def pairings_heard(request: PageRequest) -> HttpResponse:
    """Who asked to join lately and is served by nobody."""
    _organisation, sites = reach_of(request.access)
    rows = heard_unpaired(request.access.organisation, sites)
    ours = [row for row in rows if row.adapter and (sites is None or row.adapter.site_id in sites)]
    context = {
        "rows": [(row, row in ours) for row in rows],
        "ours": len(ours),
        "hours": round(UNPAIRED_WITHIN.total_seconds() / 3600),
    }
    part = request.htmx.target if request.htmx else None
    return render(request, "pairings/heard_table.html" if part == "heard" else "pairings/heard.html", context)


@require_safe
@page("pairing.unblock")
def pairings_blocked(request: PageRequest) -> HttpResponse:
    """People with five wrong owner tokens, and which labels they tried."""
    organisation = request.access.organisation
    require_at(request.access.user, organisation, None, "pairing.unblock")
    people = list(blocked_people(organisation))
    tried: dict[int, list[WrongClaim]] = {}
    rows = WrongClaim.objects.filter(organisation=organisation, user__in=people, cleared_at=None)
    for row in rows.order_by("-at")[: MAX_TRIED * max(1, len(people))]:
        tried.setdefault(row.user_id, []).append(row)
    context = {"people": [(user, name_of(user), tried.get(user.pk, [])[:MAX_TRIED]) for user in people]}
    return render(request, "pairings/blocked.html", context)


@require_POST
@page("pairing.unblock")
def pairing_unblock(request: PageRequest, pk: int) -> HttpResponse:
    """Let somebody scan again."""
    access = request.access
    require_at(access.user, access.organisation, None, "pairing.unblock")
    user: User = get_object_or_404(blocked_people(access.organisation), pk=pk)
    clear_wrong_claims(access.user, access.organisation, user)
    summary.forget(access)
    messages.success(request, _("{name} may scan again.").format(name=name_of(user)), extra_tags="ok")
    return redirect("pairings-blocked")
