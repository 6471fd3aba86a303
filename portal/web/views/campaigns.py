"""Campaigns: the list, one with its deliveries, and steering it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from meterwire.errors import MeterspanError
from portal.web import figures, keys_counts, keys_words
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.keyset import Order, paged
from portal.web.second_factor import fresh_factor
from provisioning.campaigns import services
from provisioning.campaigns.models import Campaign, Delivery
from provisioning.campaigns.queries import visible_campaigns, visible_deliveries, visible_schedules
from provisioning.errors import Forbidden

MAX_SCHEDULES = 50
_OPEN = (Campaign.State.RUNNING, Campaign.State.PAUSED)


class CancelForm(forms.Form):
    """Why it ends before its end."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=200, help_text=gettext_lazy("It stays in the audit.")
    )


@require_safe
@page("keys.view")
def campaign_list(request: PageRequest) -> HttpResponse:
    """All campaigns with how far they are, the latest first, and the standing schedules."""
    access = request.access
    found = paged(visible_campaigns(access.user, access.organisation), Order(("-created_at", "-pk")), request.GET)
    schedules = visible_schedules(access.user, access.organisation)[:MAX_SCHEDULES]
    context = {
        "page": found,
        "lines": [_line(row) for row in found.rows],
        "running": any(row.state == Campaign.State.RUNNING for row in found.rows),
        "schedules": [(row, keys_words.scope_name(row), keys_words.purpose_name(row.purpose)) for row in schedules],
    }
    part = request.htmx and request.htmx.target == "campaigns"
    return render(request, "campaigns/table.html" if part else "campaigns/list.html", context)


@require_safe
@page("keys.view")
def campaign(request: PageRequest, pk: int) -> HttpResponse:
    """One campaign; only how far it is when htmx asks for that."""
    row = _campaign(request, pk)
    context: dict[str, Any] = _line(row) | {"open": row.state in _OPEN, "form": CancelForm()}
    if request.htmx and request.htmx.target == "progress":
        answer = render(request, "campaigns/progress.html", context)
        if row.state not in _OPEN:
            answer["HX-Refresh"] = "true"
        return answer
    return _shown(request, row, context)


@require_POST
@page("keys.rotate")
@fresh_factor
def campaign_pause(request: PageRequest, pk: int) -> HttpResponse:
    """Begin no further delivery."""
    said = _("Paused. What is under way is finished; nothing new begins.")
    return _act(request, pk, lambda row: services.pause(request.access.user, row), said)


@require_POST
@page("keys.rotate")
@fresh_factor
def campaign_resume(request: PageRequest, pk: int) -> HttpResponse:
    """Go on."""
    return _act(request, pk, lambda row: services.resume(request.access.user, row), _("It goes on."))


@require_POST
@page("keys.rotate")
@fresh_factor
def campaign_retry(request: PageRequest, pk: int) -> HttpResponse:
    """Plan everything that failed again."""
    row = _campaign(request, pk)
    try:
        count = services.retry_failed(request.access.user, row)
    except Forbidden:
        raise
    except MeterspanError as error:
        messages.error(request, str(error), extra_tags="bad")
    else:
        text = ngettext("{n} delivery is tried again.", "{n} deliveries are tried again.", count)
        messages.success(request, text.format(n=figures.figure(count)), extra_tags="ok")
        keys_counts.shelf.forget(request.access.organisation.pk)
    return redirect("campaign", pk)


@require_http_methods(["GET", "HEAD", "POST"])
@page("keys.rotate")
@fresh_factor
def campaign_cancel(request: PageRequest, pk: int) -> HttpResponse:
    """Ask why, then end it."""
    row, form = _campaign(request, pk), CancelForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            services.cancel(request.access.user, row, form.cleaned_data["reason"])
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            keys_counts.shelf.forget(request.access.organisation.pk)
            messages.success(request, _("The campaign is cancelled."), extra_tags="ok")
            return redirect("campaign", pk)
    return render(request, "campaigns/cancel.html", _line(row) | {"form": form})


@require_POST
@page("keys.rotate")
@fresh_factor
def delivery_retry(request: PageRequest, pk: int) -> HttpResponse:
    """Plan one failed delivery again."""
    access = request.access
    rows = visible_deliveries(access.user, access.organisation).select_related("organisation")
    row: Delivery = get_object_or_404(rows, pk=pk)
    try:
        services.retry(access.user, row)
    except Forbidden:
        raise
    except MeterspanError as error:
        messages.error(request, str(error), extra_tags="bad")
    else:
        keys_counts.shelf.forget(access.organisation.pk)
        messages.success(request, _("It is tried again."), extra_tags="ok")
    return redirect("campaign", row.campaign_id)


def _shown(request: PageRequest, row: Any, context: dict[str, Any]) -> HttpResponse:
    access = request.access
    state = request.GET.get("state", "")
    deliveries = visible_deliveries(access.user, access.organisation).filter(campaign=row)
    if state in Delivery.State.values:
        deliveries = deliveries.filter(state=state)
    found = paged(deliveries, Order(("pk",)), request.GET)
    context |= {
        "page": found,
        "state_chosen": state,
        "deliveries": [
            (one, keys_words.of_delivery(one.state), keys_words.reason(one.code, one.message)) for one in found.rows
        ],
    }
    part = request.htmx and request.htmx.target == "deliveries"
    return render(request, "campaigns/deliveries.html" if part else "campaigns/campaign.html", context)


def _act(request: PageRequest, pk: int, act: Callable[[Campaign], object], said: str) -> HttpResponse:
    row = _campaign(request, pk)
    try:
        act(row)
    except Forbidden:
        raise
    except MeterspanError as error:
        messages.error(request, str(error), extra_tags="bad")
    else:
        messages.success(request, said, extra_tags="ok")
    return redirect("campaign", pk)


def _line(row: Any) -> dict[str, Any]:
    counts = [(state.value, str(state.label), getattr(row, state.value)) for state in Delivery.State]
    return {
        "campaign": row,
        "state": keys_words.of_campaign(row),
        "scope": keys_words.scope_name(row),
        "purpose": keys_words.purpose_name(row.purpose),
        "counts": counts,
        "bar": _bar(row),
        "over": row.active + row.failed + row.cancelled,
    }


def _bar(row: Any) -> list[tuple[str, str, str]]:
    """(form, x, width) of 200 units per group of states."""
    groups = (
        ("ok", row.active), ("warn", row.delivering + row.confirmed), ("bad", row.failed),
        ("idle", row.planned + row.cancelled),
    )  # fmt: skip
    parts, at = [], 0.0
    for form, count in groups:
        width = 200 * count / row.total if row.total else 0
        if count:
            parts.append((form, f"{at:.2f}", f"{max(1.5, width - 1):.2f}"))
        at += width
    return parts


def _campaign(request: PageRequest, pk: int) -> Any:
    access = request.access
    return get_object_or_404(visible_campaigns(access.user, access.organisation).select_related("organisation"), pk=pk)
