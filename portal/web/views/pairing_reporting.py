"""How often an adapter sends, and which registers: an operator's wish, which its next configuration carries."""

import json
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from meterwire.errors import MeterspanError
from meterwire.registers import REGISTERS
from portal.web import figures, summary
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.registers import NAMES
from provisioning.errors import Forbidden
from provisioning.fleet.models import Adapter
from provisioning.fleet.queries import visible_adapters
from provisioning.pairing.models import Configuration
from provisioning.pairing.services import set_reporting
from provisioning.pairing.services.configuration import MAX_REGISTERS

PERIODS = (60, 300, 900, 3600, 86_400)  # harmonic, as slots are (design 7)
NOT_CHOSEN = {27, 31}  # the age and the identity hash travel by themselves


class ReportingForm(forms.Form):
    """The period, and per paired input the registers; nothing chosen: as the adapter was set up."""

    period_s = forms.TypedChoiceField(
        label=gettext_lazy("It sends every"), coerce=int, empty_value=None, required=False, choices=()
    )

    def __init__(self, inputs: list[tuple[int, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = [("", _("as it was set up"))]
        self.fields["period_s"].choices = own + [(s, figures.span(s)) for s in PERIODS]  # type: ignore[attr-defined]
        choices = [
            (n, f"{NAMES[n]} · {register.obis.partition(':')[2]}")
            for n, register in REGISTERS.items()
            if n not in NOT_CHOSEN and n in NAMES
        ]
        self.inputs = [number for number, _name in inputs]
        for number, name in inputs:
            self.fields[f"registers_{number}"] = forms.TypedMultipleChoiceField(
                label=_("Registers of {name}").format(name=name),
                choices=choices,
                coerce=int,
                required=False,
                widget=forms.CheckboxSelectMultiple,
                help_text=_("None chosen: as it was set up. At most {n}.").format(n=MAX_REGISTERS),
            )

    def registers(self) -> dict[int, list[int]]:
        """What was chosen, by input."""
        found = {number: self.cleaned_data[f"registers_{number}"] for number in self.inputs}
        return {number: chosen for number, chosen in found.items() if chosen}


@require_http_methods(["GET", "HEAD", "POST"])
@page("fleet.edit")
def adapter_reporting(request: PageRequest, pk: int) -> HttpResponse:
    """Choose, and say what happens next."""
    access = request.access
    adapter: Adapter = get_object_or_404(visible_adapters(access.user, access.organisation), pk=pk)
    if adapter.kind != Adapter.Kind.METERSPAN:
        messages.warning(request, _("A foreign device is not configured from here."), extra_tags="warn")
        return redirect("adapter", pk)
    configuration = Configuration.objects.filter(adapter=adapter).first()
    held = adapter.pairings.filter(to_at=None).order_by("input")
    inputs = list(held.values_list("input", "metering_point__name")) or [(0, _("input {number}").format(number=0))]
    form = ReportingForm(inputs, request.POST or None, initial=_initial(configuration))
    if request.method == "POST" and form.is_valid():
        try:
            row = set_reporting(
                access.user, adapter, period_s=form.cleaned_data["period_s"], registers=form.registers()
            )
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error, {"registers": f"registers_{inputs[0][0]}"})
        else:
            summary.forget(access)
            text = _("Saved as version {n}. The adapter takes it over when it is heard next.")
            messages.success(request, text.format(n=row.version), extra_tags="ok")
            return redirect("adapter", pk)
    context = {"form": form, "adapter": adapter, "configuration": configuration}
    return render(request, "pairings/reporting.html", context)


def _initial(configuration: Configuration | None) -> dict[str, Any]:
    if configuration is None:
        return {}
    chosen = json.loads(configuration.registers or "{}")
    return {
        "period_s": configuration.period_s,
        **{f"registers_{number}": indexes for number, indexes in chosen.items()},
    }
