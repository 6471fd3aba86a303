"""Pairing by hand: which meter an adapter reads, and the end of that. The phone's way comes with scanning."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from meterwire.errors import IdentifierError, MeterspanError
from meterwire.ids import MeterId
from portal.web import summary
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from provisioning.errors import Forbidden
from provisioning.fleet.models import Adapter, MeteringPoint, Site
from provisioning.fleet.queries import visible_adapters, visible_metering_points
from provisioning.fleet.services import create_metering_point, install_meter
from provisioning.pairing.models import Pairing
from provisioning.pairing.services import pair, unpair

INPUTS = [(n, str(n)) for n in range(8)]


class PairForm(forms.Form):
    """A metering point of the adapter's site, or a new one; and the meter there."""

    point = forms.ModelChoiceField(
        MeteringPoint.objects.none(),
        label=gettext_lazy("Metering point"),
        required=False,
        empty_label=gettext_lazy("a new one, named below"),
    )
    name = forms.CharField(
        label=gettext_lazy("Name of the new metering point"),
        max_length=120,
        required=False,
        help_text=gettext_lazy("Such as: flat 3, or general supply."),
    )
    meter_id = forms.CharField(
        label=gettext_lazy("Number of the meter"),
        max_length=24,
        required=False,
        widget=forms.TextInput(
            {"class": "id", "autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}
        ),
        help_text=gettext_lazy(
            "As on its face, such as 1 EMH 00 1234 5678. Empty when the metering point has its meter already."
        ),
    )
    input = forms.TypedChoiceField(
        label=gettext_lazy("Input of the adapter"),
        choices=INPUTS,
        coerce=int,
        initial=0,
        help_text=gettext_lazy("0, unless it reads several meters."),
    )

    def __init__(self, points: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["point"].queryset = points  # type: ignore[attr-defined]

    def clean_meter_id(self) -> str:
        """The canonical number; the refusal says which rule it breaks."""
        text: str = self.cleaned_data["meter_id"].strip()
        try:
            return str(MeterId.parse(text)) if text else ""
        except IdentifierError as error:
            raise forms.ValidationError(str(error)) from None

    def clean(self) -> dict[str, Any]:
        """One of the two: an existing metering point or the name of a new one."""
        data = super().clean() or self.cleaned_data
        if not data.get("point") and not data.get("name"):
            self.add_error("name", _("Choose a metering point or name a new one."))
        return data


@require_http_methods(["GET", "HEAD", "POST"])
@page("pairing.create")
def pair_adapter(request: PageRequest, pk: int) -> HttpResponse:
    """Say which meter the adapter reads from now on."""
    access = request.access
    adapter: Adapter = get_object_or_404(visible_adapters(access.user, access.organisation), pk=pk)
    if adapter.site is None:
        messages.warning(
            request, _("Give the adapter a site first; metering points belong to a site."), extra_tags="warn"
        )
        return redirect("adapter", pk)
    points = visible_metering_points(access.user, access.organisation).filter(site=adapter.site)
    free = points.exclude(pairings__to_at=None, pairings__isnull=False)
    form = PairForm(free, request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            _pair(request, adapter, adapter.site, data)
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            summary.forget(access)
            messages.success(request, _("Paired. Readings belong to this metering point from now on."), extra_tags="ok")
            return redirect("adapter", pk)
    return render(request, "adapters/pair.html", {"form": form, "adapter": adapter})


@require_http_methods(["GET", "HEAD", "POST"])
@page("pairing.end")
def pairing_end(request: PageRequest, pk: int) -> HttpResponse:
    """Ask for the reason, then end the pairing."""
    access = request.access
    pairing = Pairing.objects.filter(organisation=access.organisation, pk=pk, to_at=None).select_related(
        "adapter", "metering_point", "meter"
    )
    row = pairing.first()
    if row is None or not visible_adapters(access.user, access.organisation).filter(pk=row.adapter_id).exists():
        raise Http404("no such open pairing")
    refusal = ""
    if request.method == "POST":
        try:
            unpair(access.user, row, reason=request.POST.get("reason", "")[:200])
        except Forbidden:
            raise
        except MeterspanError as error:
            refusal = str(error)
        else:
            messages.success(
                request, _("The pairing has ended. Its readings stay with the metering point."), extra_tags="ok"
            )
            return redirect("adapter", row.adapter_id)
    return render(request, "adapters/unpair.html", {"pairing": row, "refusal": refusal}, status=409 if refusal else 200)


@transaction.atomic
def _pair(request: PageRequest, adapter: Adapter, site: Site, data: dict[str, Any]) -> None:
    actor = request.access.user
    point = data["point"] or create_metering_point(actor, site, name=data["name"])
    if data["meter_id"]:
        install_meter(actor, point, meter_id=data["meter_id"])
    pair(actor, adapter, point, input=data["input"])
