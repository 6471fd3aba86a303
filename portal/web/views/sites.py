"""Sites: the list, the building of one with everything in it, and making or changing one."""

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import F
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from meterwire.errors import MeterspanError
from portal.web import adapters, sites, states, summary
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.keyset import Order, paged
from portal.web.states import Counts
from provisioning.errors import Forbidden
from provisioning.fleet.models import Adapter, Site
from provisioning.fleet.queries import visible_adapters, visible_concentrators, visible_sites
from provisioning.fleet.services import create_site, update_site

PER_PAGE = 40
PER_BUILDING = 60
MAX_NAME = 120
BY_PLACE = Order(("location", "dev_eui"))


class SiteForm(forms.Form):
    """A building."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=MAX_NAME,
        help_text=gettext_lazy("As your people call it, such as Lindenweg 4–10."),
    )
    street = forms.CharField(label=gettext_lazy("Street and number"), max_length=120, required=False)
    postcode = forms.CharField(label=gettext_lazy("Postcode"), max_length=12, required=False)
    city = forms.CharField(label=gettext_lazy("City"), max_length=80, required=False)
    time_zone = forms.CharField(
        label=gettext_lazy("Time zone"),
        max_length=40,
        initial="Europe/Berlin",
        help_text=gettext_lazy("A name of the tz database."),
    )


@require_safe
@page("fleet.view")
def site_list(request: PageRequest) -> HttpResponse:
    """All sites, those that need somebody first."""
    access = request.access
    facts = summary.snapshot(access)
    text = request.GET.get("q", "").strip()[:MAX_NAME]
    keys = sites.ordered(facts)
    if text:
        keys = [key for key in keys if text.casefold() in facts.site_names[key].casefold()]
    chunk = Paginator(keys, PER_PAGE).get_page(request.GET.get("page"))
    found = visible_sites(access.user, access.organisation).filter(pk__in=list(chunk))
    context = {
        "chunk": chunk,
        "lines": sites.lines(facts, chunk),
        "addresses": {site.pk: site for site in found},
        "query": text,
        "any": bool(facts.site_names),
    }
    part = request.htmx.target if request.htmx else None
    template = "sites/table.html" if part == "sites" else "sites/list.html"
    return render(request, template, context)


@require_safe
@page("fleet.view")
def site(request: PageRequest, pk: int) -> HttpResponse:
    """One building: concentrators, and its adapters by where they hang."""
    access = request.access
    row = get_object_or_404(visible_sites(access.user, access.organisation), pk=pk)
    now = timezone.now()
    facts = summary.snapshot(access)
    known = sites.line(facts, pk)
    concentrators = list(visible_concentrators(access.user, access.organisation).filter(site=row))
    adapters_here = adapters.listed(visible_adapters(access.user, access.organisation)).filter(site=row)
    state = request.GET.get("state", "")
    if state == "silent":
        adapters_here = adapters_here.filter(status__state="silent")
    elif state == "heard":
        adapters_here = adapters_here.filter(status__state="heard", status__last_seen__isnull=False)
    elif state == "never":
        adapters_here = adapters_here.filter(status__last_seen=None)
    found = paged(adapters_here, BY_PLACE, request.GET, PER_BUILDING)
    context = {
        "site": row,
        "state": state,
        "known": known,
        "site_state": states.of_site(known.counts, concentrators),
        "counts": known.counts or Counts(),
        "concentrators": [(c, states.of_concentrator(c, now)) for c in concentrators],
        "page": found,
        "lines": adapters.as_lines(found.rows, now),
        "others": Adapter.objects.filter(site=row, archived_at=None)
        .exclude(concentrator__site=row)
        .exclude(concentrator=None)
        .values(name=F("concentrator__name"), key=F("concentrator_id"))
        .distinct()[:5],
    }
    part = request.htmx.target if request.htmx else None
    template = "sites/live.html" if part == "building" else "sites/site.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
@page("fleet.edit")
def site_new(request: PageRequest) -> HttpResponse:
    """Make a site."""
    access = request.access
    form = SiteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = create_site(access.user, access.organisation, **form.cleaned_data)
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            summary.forget(access)
            messages.success(request, _("{name} is there. Register its concentrator next.").format(name=made.name))
            return redirect("site", made.pk)
    return render(request, "sites/form.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@page("fleet.edit")
def site_edit(request: PageRequest, pk: int) -> HttpResponse:
    """Change a site."""
    access = request.access
    row: Site = get_object_or_404(visible_sites(access.user, access.organisation), pk=pk)
    fields = list(SiteForm.base_fields)
    form = SiteForm(request.POST or None, initial={name: getattr(row, name) for name in fields})
    if request.method == "POST" and form.is_valid():
        try:
            update_site(access.user, row, **form.cleaned_data)
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            summary.forget(access)
            messages.success(request, _("Saved."))
            return redirect("site", pk)
    return render(request, "sites/form.html", {"form": form, "site": row})
