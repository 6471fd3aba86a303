"""Approvals: what waits for me, what I asked for, what was decided, and the decision itself."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from meterwire.errors import MeterspanError
from portal.web.access import PageRequest, page
from portal.web.approvals import line
from portal.web.second_factor import fresh_factor
from provisioning.approvals import queries, services
from provisioning.errors import Conflict

SHOWN = 100


class RefusalForm(forms.Form):
    """Why not; an approval needs no words."""

    reason = forms.CharField(
        label=gettext_lazy("Reason for refusing"),
        max_length=200,
        help_text=gettext_lazy("Who asked reads it, and it stays in the audit."),
    )


@require_safe
@page("keys.view")
def approval_list(request: PageRequest) -> HttpResponse:
    """What waits for one's own decision, one's own requests, and all that were decided."""
    user, organisation = request.access.user, request.access.organisation
    now = timezone.now()
    waiting = queries.waiting(user, organisation)[:SHOWN] if request.access.may("keys.approve") else None
    return render(
        request,
        "approvals/list.html",
        {
            "waiting": waiting,
            "mine": [line(row, now) for row in queries.mine(user, organisation)[:SHOWN]],
            "history": [line(row, now) for row in queries.history(user, organisation)[:SHOWN]],
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page("keys.approve")
@fresh_factor
def approval(request: PageRequest, pk: int) -> HttpResponse:
    """Look at one request, then approve or refuse it."""
    user, organisation = request.access.user, request.access.organisation
    row = get_object_or_404(queries.history(user, organisation), pk=pk)
    approving = request.POST.get("decision") == "approve"
    form = RefusalForm(None if approving else request.POST or None)
    if request.method == "POST" and (approving or form.is_valid()):
        try:
            if approving:
                services.approve(user, row)
            else:
                services.refuse(user, row, form.cleaned_data["reason"])
        except MeterspanError as error:
            messages.error(request, str(error), extra_tags="bad")
        else:
            said = _("Approved. Who asked may use it within one hour.") if approving else _("Refused.")
            messages.success(request, said, extra_tags="ok")
            return redirect("approvals")
    decidable = row in queries.waiting(user, organisation)
    context = {"line": line(row, timezone.now()), "form": form, "decidable": decidable}
    return render(request, "approvals/approval.html", context)


@require_POST
@page("keys.view")
def approval_withdraw(request: PageRequest, pk: int) -> HttpResponse:
    """Take one's own request back."""
    row = get_object_or_404(queries.mine(request.access.user, request.access.organisation), pk=pk)
    try:
        services.withdraw(request.access.user, row)
    except Conflict as error:
        messages.error(request, str(error), extra_tags="bad")
    else:
        messages.success(request, _("Your request is withdrawn."), extra_tags="ok")
    return redirect("approvals")
