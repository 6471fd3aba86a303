"""Whether the organisation stores register values sealed: the state, what it means, and switching it."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from meterwire.errors import MeterspanError
from portal.telemetry import sealed_setting
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.second_factor import fresh_factor
from provisioning.approvals.models import Approval
from provisioning.errors import Forbidden

_DEEDS = {"seal": sealed_setting.seal, "ask": sealed_setting.ask_to_unseal, "unseal": sealed_setting.unseal}


class SwitchForm(forms.Form):
    """Why; what is done stands on the button."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=200, help_text=gettext_lazy("It stays in the audit.")
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page("accounts.manage")
@fresh_factor
def sealing(request: PageRequest) -> HttpResponse:
    """Switch on; ask a key custodian to allow switching off; switch off."""
    user, organisation = request.access.user, request.access.organisation
    form = SwitchForm(request.POST or None)
    deed = request.POST.get("deed", "")
    if request.method == "POST" and deed in _DEEDS and form.is_valid():
        try:
            _DEEDS[deed](user, organisation, form.cleaned_data["reason"])
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            messages.success(request, _said(deed), extra_tags="ok")
            return redirect("sealing")
    asked = sealed_setting.open_request(organisation, user.pk, timezone.now())
    context = {
        "form": form,
        "organisation": organisation,
        "asked": asked,
        "allowed": asked is not None and asked.state == Approval.State.APPROVED,
    }
    return render(request, "account/sealing.html", context, status=409 if form.errors else 200)


def _said(deed: str) -> str:
    return {
        "seal": _("Values are stored sealed from now on. Those of before stay clear until manage.py seal_history."),
        "ask": _("A key custodian has to allow it; look here again afterwards."),
        "unseal": _("Values are stored clear from now on. Those of before stay sealed."),
    }[deed]
