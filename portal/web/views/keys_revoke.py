"""Revoking what was stolen or lost as a whole: an adapter, which can serve again later, or a concentrator."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from meterwire.errors import MeterspanError
from portal.web import figures, keys_counts, summary
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.second_factor import fresh_factor
from portal.web.views.keys_deeds import ReasonForm
from provisioning.campaigns.eligibility import OPEN
from provisioning.errors import Forbidden
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.fleet.queries import visible_adapters, visible_concentrators
from provisioning.fleet.services.revocation import revoke_concentrator
from provisioning.keys.models import DeviceKey, KeyState
from provisioning.keys.services import reinstate_adapter, revoke_adapter

_OVER = (KeyState.REVOKED, KeyState.DESTROYED)


class SureForm(ReasonForm):
    """Why, and the last four digits of what is meant."""

    confirm = forms.CharField(
        label=gettext_lazy("The last four digits of its EUI"),
        max_length=12,
        help_text=gettext_lazy("Type them: then it is the device that you mean."),
        widget=forms.TextInput({"class": "id", "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )

    def __init__(self, eui: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._end = eui[-4:].lower()

    def clean_confirm(self) -> str:
        text = str(self.cleaned_data["confirm"]).strip().lower()
        if text != self._end:
            raise forms.ValidationError(_("The last four digits do not agree. Nothing was changed."))
        return text


@require_http_methods(["GET", "HEAD", "POST"])
@page("keys.lifecycle")
@fresh_factor
def adapter_revoke(request: PageRequest, pk: int) -> HttpResponse:
    """Say what ends, ask why, then revoke all keys of the adapter."""
    row = _adapter(request, pk)
    if row.revoked_at is not None:
        return redirect("adapter-reinstate", pk)
    form = SureForm(row.dev_eui, request.POST or None)
    if _done(request, form, row, revoke_adapter):
        text = _("The adapter is revoked. Nothing of it is believed any more, and nobody serves it.")
        messages.success(request, text, extra_tags="ok")
        return redirect("adapter", pk)
    context = {
        "adapter": row,
        "form": form,
        "keys": DeviceKey.objects.filter(adapter=row).exclude(state__in=_OVER).count(),
        "deliveries": row.deliveries.filter(state__in=OPEN).count(),
        "pairings": row.pairings.filter(to_at=None).select_related("metering_point"),
    }
    return render(request, "keys/adapter_revoke.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page("keys.lifecycle")
@fresh_factor
def adapter_reinstate(request: PageRequest, pk: int) -> HttpResponse:
    """Let a revoked adapter serve again."""
    row = _adapter(request, pk)
    if row.revoked_at is None:
        return redirect("adapter", pk)
    form = ReasonForm(request.POST or None)
    if _done(request, form, row, reinstate_adapter):
        text = _("The adapter may serve again. Issue new keys and hand its key file over next.")
        messages.success(request, text, extra_tags="ok")
        return redirect("adapter", pk)
    return render(request, "keys/adapter_reinstate.html", {"adapter": row, "form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@page("concentrator.revoke")
@fresh_factor
def concentrator_revoke(request: PageRequest, pk: int) -> HttpResponse:
    """Say what ends, ask why, then revoke the concentrator; there is no way back."""
    access = request.access
    rows = visible_concentrators(access.user, access.organisation).select_related("organisation")
    row: Concentrator = get_object_or_404(rows, pk=pk)
    if row.revoked_at is not None:
        text = _("{name} was revoked {when}.").format(name=row.name, when=figures.ago(row.revoked_at))
        messages.warning(request, text, extra_tags="warn")
        return redirect("concentrator", pk)
    form = SureForm(row.eui, request.POST or None)
    if _done(request, form, row, revoke_concentrator):
        text = _("The concentrator is revoked. The broker throws it off within seconds; move its adapters.")
        messages.success(request, text, extra_tags="ok")
        return redirect("concentrator", pk)
    served = row.adapters.filter(archived_at=None).count()
    return render(request, "keys/concentrator_revoke.html", {"concentrator": row, "form": form, "served": served})


def _done(request: PageRequest, form: forms.Form, row: Any, act: Any) -> bool:
    if request.method != "POST" or not form.is_valid():
        return False
    try:
        act(request.access.user, row, form.cleaned_data["reason"])
    except Forbidden:
        raise
    except MeterspanError as error:
        refuse(form, error)
        return False
    keys_counts.shelf.forget(request.access.organisation.pk)
    summary.forget(request.access)
    return True


def _adapter(request: PageRequest, pk: int) -> Adapter:
    access = request.access
    rows = visible_adapters(access.user, access.organisation).select_related("organisation")
    return get_object_or_404(rows, pk=pk)
