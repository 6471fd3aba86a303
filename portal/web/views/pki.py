"""Certificates: the issuing authority, all certificates, those of one concentrator, and revoking one."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from meterwire.errors import MeterspanError
from portal.web import certificates, summary
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.keyset import Order, paged
from provisioning.errors import Forbidden
from provisioning.fleet.queries import visible_concentrators
from provisioning.pki import queries
from provisioning.pki.models import Reason
from provisioning.pki.services import revoke

SHOWN = 100


class RevokeForm(forms.Form):
    """Why a certificate is void from now on."""

    kind = forms.ChoiceField(label=gettext_lazy("What happened"), choices=Reason.choices)
    reason = forms.CharField(
        label=gettext_lazy("In your words"), max_length=200, help_text=gettext_lazy("It stays in the audit.")
    )


@require_safe
@page("pki.view")
def certificate_list(request: PageRequest) -> HttpResponse:
    """Authorities, requests that wait, and all certificates, the newest first."""
    access, now = request.access, timezone.now()
    found = paged(queries.visible_certificates(access.user, access.organisation), Order(("-pk",)), request.GET)
    context = {
        "authorities": certificates.authorities(now),
        "waiting": queries.waiting_enrolments(access.user, access.organisation)[:SHOWN],
        "manufacturers": queries.manufacturers(access.user, access.organisation)[:SHOWN],
        "page": found,
        "lines": [(row, certificates.of_certificate(row, now)) for row in found.rows],
    }
    return render(request, "pki/list.html", context)


@require_safe
@page("pki.view")
def concentrator_certificates(request: PageRequest, pk: int) -> HttpResponse:
    """Those of one concentrator, and how it can come to another one."""
    access, now = request.access, timezone.now()
    row = get_object_or_404(visible_concentrators(access.user, access.organisation), pk=pk)
    rows = queries.visible_certificates(access.user, access.organisation).filter(concentrator=row)
    found = paged(rows, Order(("-pk",)), request.GET)
    password, state = certificates.of_password(row, now)
    context = {
        "concentrator": row,
        "password": password,
        "password_state": state,
        "waiting": queries.waiting_enrolments(access.user, access.organisation).filter(concentrator=row),
        "page": found,
        "lines": [(one, certificates.of_certificate(one, now)) for one in found.rows],
    }
    return render(request, "pki/concentrator.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page("concentrator.revoke")
def certificate_revoke(request: PageRequest, pk: int) -> HttpResponse:
    """Ask why, then revoke. No second factor here: whoever must do this is in a hurry, and it opens nothing."""
    access = request.access
    rows = queries.visible_certificates(access.user, access.organisation)
    row = get_object_or_404(rows, pk=pk, revoked_at=None)
    form = RevokeForm(request.POST or None, initial={"kind": Reason.KEY_COMPROMISE})
    if request.method == "POST" and form.is_valid():
        try:
            revoke(access.user, row, form.cleaned_data["reason"], Reason(form.cleaned_data["kind"]))
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            summary.forget(access)
            messages.success(
                request, _("The certificate is revoked. The broker refuses it within seconds."), extra_tags="ok"
            )
            return redirect("concentrator-certificates", row.concentrator_id)
    return render(request, "pki/revoke.html", {"certificate": row, "form": form})
