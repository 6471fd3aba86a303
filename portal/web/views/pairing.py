"""Pairing by hand, without a phone: which meter an adapter reads from now on."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from meterwire.errors import MeterspanError
from portal.telemetry.commissioning import heard_levels
from portal.web import summary
from portal.web.access import PageRequest, page
from portal.web.fields import MeterNumber
from portal.web.forms import refuse
from portal.web.pairings_heard import heard_of
from provisioning.errors import Forbidden
from provisioning.fleet.models import Adapter, MeteringPoint, Site
from provisioning.fleet.queries import visible_adapters, visible_metering_points, visible_sites
from provisioning.fleet.services import create_metering_point, install_meter
from provisioning.pairing.models import Pairing
from provisioning.pairing.services import pair

MAX_SITES_LISTED = 300
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
    meter_id = MeterNumber(
        label=gettext_lazy("Number of the meter"),
        required=False,
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
    places = visible_sites(access.user, access.organisation).order_by("name")
    chosen = request.GET.get("site", "")
    known = places.filter(pk=int(chosen)).first() if chosen.isdecimal() and len(chosen) < 12 else None
    site = known or adapter.site or places.first()
    if site is None:
        messages.warning(request, _("Make a site first; metering points belong to a site."), extra_tags="warn")
        return redirect("adapter", pk)
    read = Pairing.objects.filter(metering_point=OuterRef("pk"), to_at=None)
    points = visible_metering_points(access.user, access.organisation).filter(site=site)
    form = PairForm(points.filter(~Exists(read)), request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            made = _pair(request, adapter, site, data)
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            summary.forget(access)
            messages.success(request, _("Paired. Readings belong to this metering point from now on."), extra_tags="ok")
            return redirect("pairing", made.pk)
    context = {
        "form": form,
        "adapter": adapter,
        "site": site,
        "sites": places.values_list("pk", "name")[:MAX_SITES_LISTED],
        "heard": heard_of(adapter),
    }
    return render(request, "adapters/pair.html", context)


@transaction.atomic
def _pair(request: PageRequest, adapter: Adapter, site: Site, data: dict[str, Any]) -> Pairing:
    actor = request.access.user
    point = data["point"] or create_metering_point(actor, site, name=data["name"])
    if data["meter_id"]:
        install_meter(actor, point, meter_id=data["meter_id"])
    return pair(actor, adapter, point, input=data["input"], heard=heard_levels)
