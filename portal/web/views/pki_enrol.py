"""Who gets a certificate: one-time passwords, and requests that wait for somebody's approval."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from meterwire.errors import MeterspanError
from portal.web import summary
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.second_factor import fresh_factor
from provisioning.errors import Forbidden
from provisioning.fleet.queries import visible_concentrators
from provisioning.pki import queries
from provisioning.pki.services import approve_enrolment, issue_password, refuse_enrolment
from provisioning.pki.services.passwords import DAYS, MAX_DAYS


class PasswordForm(forms.Form):
    """How long a one-time password waits, and whether it is enough."""

    days = forms.IntegerField(label=gettext_lazy("Valid for (days)"), min_value=1, max_value=MAX_DAYS, initial=DAYS)
    needs_approval = forms.BooleanField(
        label=gettext_lazy("Its request waits until somebody approves it here"), required=False
    )


class DecisionForm(forms.Form):
    """Why not; an approval needs no words."""

    reason = forms.CharField(label=gettext_lazy("Reason for refusing"), max_length=200, required=False)


@require_http_methods(["GET", "HEAD", "POST"])
@page("pki.enrol")
@fresh_factor
def enrolment_password(request: PageRequest, pk: int) -> HttpResponse:
    """Make a one-time password and show it once."""
    access = request.access
    row = get_object_or_404(visible_concentrators(access.user, access.organisation), pk=pk)
    form = PasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            made = issue_password(access.user, row, days=data["days"], needs_approval=data["needs_approval"])
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            context = {"concentrator": row, "password": made.password, "row": made.row}
            answer = render(request, "pki/once.html", context)
            answer["Cache-Control"] = "no-store"
            return answer
    return render(request, "pki/password.html", {"concentrator": row, "form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@page("pki.enrol")
@fresh_factor
def enrolment(request: PageRequest, pk: int) -> HttpResponse:
    """Look at a request, then approve or refuse it."""
    access = request.access
    row = get_object_or_404(queries.waiting_enrolments(access.user, access.organisation), pk=pk)
    form = DecisionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            if request.POST.get("decision") == "approve":
                approve_enrolment(access.user, row)
                said = _("Approved. The concentrator fetches its certificate within a minute.")
            else:
                refuse_enrolment(access.user, row, form.cleaned_data["reason"])
                said = _("Refused. The concentrator is told your reason.")
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            summary.forget(access)
            messages.success(request, said, extra_tags="ok")
            return redirect("concentrator-certificates", row.concentrator_id)
    return render(request, "pki/enrolment.html", {"enrolment": row, "form": form})
