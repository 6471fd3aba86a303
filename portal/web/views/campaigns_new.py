"""Planning: a campaign, which is looked at before it starts, and standing schedules."""

import hashlib
import json
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from meterwire.errors import MeterspanError
from portal.web import keys_counts, keys_words
from portal.web.access import PageRequest, page
from portal.web.campaigns_forms import CampaignForm, ScheduleForm, TermsForm
from portal.web.campaigns_preview import Preview, preview
from portal.web.forms import refuse
from portal.web.second_factor import fresh_factor
from portal.web.views.campaigns import CancelForm
from provisioning.campaigns import services
from provisioning.campaigns.queries import visible_schedules
from provisioning.campaigns.services.planning import checked_terms
from provisioning.errors import Forbidden
from provisioning.fleet.queries import visible_adapters

_FIELDS = {"scope": "dev_eui"}


@require_http_methods(["GET", "HEAD", "POST"])
@page("keys.rotate")
@fresh_factor
def campaign_new(request: PageRequest) -> HttpResponse:
    """Choose, look at what would happen, start; what was changed since is looked at again."""
    access = request.access
    form = CampaignForm(access, request.POST or None, initial=_initial(request))
    context: dict[str, Any] = {"form": form}
    if request.method == "POST" and form.is_valid():
        seen = _print(form)
        try:
            if request.POST.get("do") == "start" and request.POST.get("seen") == seen:
                return _started(request, form)
            context |= {"preview": _previewed(request, form), "seen": seen}
            context["changed"] = request.POST.get("do") == "start"
        except MeterspanError as error:
            refuse(form, error, _FIELDS)
    return render(request, "campaigns/new.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page("keys.rotate")
@fresh_factor
def schedule_new(request: PageRequest) -> HttpResponse:
    """Replace keys every so many days."""
    access = request.access
    form = ScheduleForm(access, request.POST or None, initial=_initial(request))
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            services.schedule(
                access.user,
                access.organisation,
                period_days=data["period_days"],
                first_at=data["first_at"],
                scope=form.scope,
                **form.terms(),
            )
        except MeterspanError as error:
            refuse(form, error, _FIELDS)
        else:
            messages.success(request, _("The schedule stands."), extra_tags="ok")
            return redirect("campaigns")
    return render(request, "campaigns/schedule.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@page("keys.rotate")
@fresh_factor
def schedule_end(request: PageRequest, pk: int) -> HttpResponse:
    """Ask why, then make no further campaign by it."""
    access = request.access
    rows = visible_schedules(access.user, access.organisation).select_related("organisation")
    row = get_object_or_404(rows, pk=pk)
    form = CancelForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            services.end_schedule(access.user, row, form.cleaned_data["reason"])
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            messages.success(request, _("The schedule has ended. A campaign that runs goes on."), extra_tags="ok")
            return redirect("campaigns")
    context = {
        "schedule": row,
        "form": form,
        "scope": keys_words.scope_name(row),
        "purpose": keys_words.purpose_name(row.purpose),
    }
    return render(request, "campaigns/schedule_end.html", context)


def _started(request: PageRequest, form: CampaignForm) -> HttpResponse:
    access = request.access
    made = services.plan(
        access.user, access.organisation, scope=form.scope, reason=form.cleaned_data["reason"], **form.terms()
    )
    keys_counts.shelf.forget(access.organisation.pk)
    return redirect("campaign", made.pk)


def _previewed(request: PageRequest, form: CampaignForm) -> Preview:
    access = request.access
    terms = checked_terms(access.user, access.organisation, scope=form.scope, **form.terms())
    return preview(access, dict(terms), timezone.now())


def _print(form: TermsForm) -> str:
    """What was looked at: the same choice has the same print."""
    chosen = {name: str(getattr(value, "pk", value)) for name, value in form.cleaned_data.items()}
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def _initial(request: PageRequest) -> dict[str, Any]:
    """The scope that a button on an adapter's or a site's page brings along."""
    access = request.access
    adapter = request.GET.get("adapter", "")
    if adapter.isdecimal() and len(adapter) < 12:
        rows = visible_adapters(access.user, access.organisation).filter(pk=int(adapter))
        return {"dev_eui": rows.values_list("dev_eui", flat=True).first() or ""}
    site = request.GET.get("site", "")
    return {"site": site} if site.isdecimal() and len(site) < 12 else {}
