"""The pages on which something is done to a pairing: look at before and after, give a reason, do it."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from meterwire.errors import MeterspanError
from portal.web import summary
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.pairings_deeds import Confirm, Deed, DeedForm, End
from portal.web.pairings_move import Move
from portal.web.pairings_page import sight
from portal.web.pairings_replace import ReplaceAdapter, ReplaceMeter
from portal.web.pairings_resolve import Attribute, Resolve
from provisioning.errors import Forbidden
from provisioning.fleet.queries import visible_sites
from provisioning.pairing.models import Pairing
from provisioning.pairing.queries import visible_pairings

MAX_SITES_LISTED = 300


@require_http_methods(["GET", "HEAD", "POST"])
@page("pairing.end")
def pairing_end(request: PageRequest, pk: int) -> HttpResponse:
    """Unpair."""
    return _deed(request, pk, End)


@require_http_methods(["GET", "HEAD", "POST"])
@page("pairing.create")
def pairing_confirm(request: PageRequest, pk: int) -> HttpResponse:
    """The display was compared."""
    return _deed(request, pk, Confirm)


@sensitive_post_parameters("label")
@require_http_methods(["GET", "HEAD", "POST"])
@page("pairing.end")
def pairing_replace_adapter(request: PageRequest, pk: int) -> HttpResponse:
    """Another adapter."""
    return _deed(request, pk, ReplaceAdapter)


@require_http_methods(["GET", "HEAD", "POST"])
@page("pairing.end")
def pairing_replace_meter(request: PageRequest, pk: int) -> HttpResponse:
    """Another meter."""
    return _deed(request, pk, ReplaceMeter)


@require_http_methods(["GET", "HEAD", "POST"])
@page("pairing.end")
def pairing_move(request: PageRequest, pk: int) -> HttpResponse:
    """Another metering point."""
    return _deed(request, pk, Move)


@require_http_methods(["GET", "HEAD", "POST"])
@page("pairing.end")
def pairing_resolve(request: PageRequest, pk: int) -> HttpResponse:
    """Another meter is read than the one meant."""
    return _deed(request, pk, Resolve)


@require_http_methods(["GET", "HEAD", "POST"])
@page("pairing.end")
def pairing_attribute(request: PageRequest, pk: int) -> HttpResponse:
    """Whose the waiting readings are."""
    return _deed(request, pk, Attribute)


def _deed(request: PageRequest, pk: int, kind: type[Deed]) -> HttpResponse:
    access = request.access
    rows = visible_pairings(access.user, access.organisation)
    pairing: Pairing = get_object_or_404(rows, pk=pk)
    deed = kind(access, pairing, request.GET)
    if refusal := deed.refusal():
        messages.warning(request, refusal, extra_tags="warn")
        return redirect("pairing", pk)
    if request.method != "POST":
        return _page(request, deed, deed.form())
    form = deed.form(request.POST)
    if not form.is_valid():
        return _page(request, deed, form, status=409)
    if "back" in request.POST:
        return _page(request, deed, form)
    if deed.looked_at and "sure" not in request.POST:
        return _page(request, deed, form, look=True)
    try:
        after = deed.perform(form.cleaned_data)
    except Forbidden:
        raise
    except MeterspanError as error:
        refuse(form, error)
        return _page(request, deed, form, status=409)
    summary.forget(access)
    messages.success(request, str(deed.done), extra_tags="ok")
    return redirect("pairing", after.pk)


def _page(request: PageRequest, deed: Deed, form: DeedForm, *, look: bool = False, status: int = 200) -> HttpResponse:
    data = form.cleaned_data if look else {}
    pairing = deed.pairing
    context = {
        "deed": deed,
        "pairing": pairing,
        "form": form,
        "title": str(deed.title).format(point=pairing.metering_point.name),
        "changes": deed.changes(data),
        "consequences": deed.consequences(data),
        "kept": deed.kept(form.cleaned_data) if look else {},
        "look": look,
        **sight(request.access, pairing),
    }
    if isinstance(deed, Move):
        places = visible_sites(request.access.user, request.access.organisation).order_by("name")
        context |= {"sites": places.values_list("pk", "name")[:MAX_SITES_LISTED], "site": deed.site}
    return render(request, "pairings/deed.html", context, status=status)
