"""How a concentrator divides its time, as a form; and a plan before anything is built."""

from typing import Any

from django import forms
from django.contrib import messages
from django.forms import BaseFormSet, formset_factory
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from meterwire.errors import MeterspanError
from meterwire.slots import DEFAULT_QUANTUM_MS, MAX_DATA_RATE, MAX_GUARD_MS, PERIODS, QUANTA_MS, Kind
from portal.web import figures, slots_room, summary
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.slots_planning import DISTANCES, KINDS, Meters, planned
from provisioning.errors import Forbidden
from provisioning.fleet.queries import visible_concentrators
from provisioning.slots.models import BEACON_PERIODS, SlotPlan
from provisioning.slots.queries import MAX_PLANNED
from provisioning.slots.services import plan_of, set_plan
from provisioning.slots.services.plans import MAX_RESERVE

MAX_ROWS = 8
FIELDS = ("quantum_ms", "guard_ms", "reserve", "beacon_period_s", "beacon_data_rate", "previous", "by_pairing")


class PlanForm(forms.Form):
    """How time is divided."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        beacons: Any = self.fields["beacon_period_s"]
        beacons.choices = [(s, _("every {time}").format(time=figures.span(s)) if s else _("none"))
                           for s in BEACON_PERIODS]  # fmt: skip

    guard_ms = forms.IntegerField(
        label=gettext_lazy("Guard, in ms"),
        min_value=0,
        max_value=MAX_GUARD_MS,
        initial=60,
        help_text=gettext_lazy(
            "Free time before and after each telegram. 60 ms suffice indoors, 20 ms with a beacon, 300 ms outdoors."
        ),
    )
    reserve = forms.IntegerField(
        label=gettext_lazy("Reserve, in thousandths of the time"),
        min_value=0,
        max_value=MAX_RESERVE,
        initial=25,
        help_text=gettext_lazy("Open time without slots, for joins, confirmations and keys. 25 is usual."),
    )
    beacon_period_s = forms.TypedChoiceField(
        label=gettext_lazy("Beacon"),
        coerce=int,
        choices=(),
        initial=0,
        help_text=gettext_lazy("Keeps clocks within 20 ms; worth it from some thousand adapters on."),
    )
    beacon_data_rate = forms.TypedChoiceField(
        label=gettext_lazy("Rate of the beacon"),
        coerce=int,
        choices=[(rate, figures.rate(rate)) for rate in range(MAX_DATA_RATE, -1, -1)],
        initial=3,
        help_text=gettext_lazy("A slower one reaches further and takes longer."),
    )
    previous = forms.BooleanField(
        label=gettext_lazy("Telegrams carry the previous value too"),
        required=False,
        help_text=gettext_lazy("A single lost telegram then loses nothing. It takes 3 bytes more."),
    )
    quantum_ms = forms.TypedChoiceField(
        label=gettext_lazy("Quantum"),
        coerce=int,
        choices=[(ms, f"{ms} ms") for ms in QUANTA_MS],
        initial=DEFAULT_QUANTUM_MS,
        help_text=gettext_lazy("Slots begin and end on this grid; it can be changed only while there are none."),
    )


class ConcentratorPlanForm(PlanForm):
    """The same of a concentrator that exists."""

    by_pairing = forms.BooleanField(
        label=gettext_lazy("Adapters paired here get a slot"),
        required=False,
        help_text=gettext_lazy("Without it new ones send at random moments; slots that were given stay."),
    )


class MetersForm(forms.Form):
    """A row of the plan before building; without a number it is left out."""

    conditional = ("count",)
    count = forms.IntegerField(label=gettext_lazy("Meters"), required=False, min_value=1, max_value=MAX_PLANNED)
    distance = forms.ChoiceField(label=gettext_lazy("Heard at"), choices=DISTANCES, initial=str(MAX_DATA_RATE))
    period_s = forms.TypedChoiceField(
        label=gettext_lazy("Every"), coerce=int, choices=[(s, figures.span(s)) for s in PERIODS], initial=900
    )
    kind = forms.TypedChoiceField(label=gettext_lazy("Telegram"), coerce=int, choices=KINDS, initial=Kind.VALUES)


@require_http_methods(["GET", "HEAD", "POST"])
@page("fleet.edit")
def concentrator_slot_plan(request: PageRequest, pk: int) -> HttpResponse:
    """Show and change the plan of a concentrator."""
    access = request.access
    row = get_object_or_404(visible_concentrators(access.user, access.organisation), pk=pk)
    held = plan_of(row)
    form = ConcentratorPlanForm(request.POST or None, initial={name: getattr(held, name) for name in FIELDS})
    if request.method == "POST" and form.is_valid():
        try:
            set_plan(access.user, row, **{name: form.cleaned_data[name] for name in FIELDS})
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            summary.forget(access)
            messages.success(
                request, _("Saved. Adapters are told what concerns them; no slot was moved."), extra_tags="ok"
            )
            return redirect("concentrator-slots", pk)
    context = {"concentrator": row, "form": form, "room": slots_room.room(row, more=False)}
    return render(request, "slots/plan_form.html", context)


@require_safe
@page("fleet.view")
def slots_planning(request: PageRequest) -> HttpResponse:
    """Whether meters that are still to be installed would fit at one concentrator."""
    asked = "rows-TOTAL_FORMS" in request.GET
    rows = _rows(1)(request.GET if asked else None, prefix="rows")
    form = PlanForm(request.GET if asked else None)
    outcome = None
    if asked and form.is_valid() and rows.is_valid():
        groups = [one.cleaned_data for one in rows if one.cleaned_data.get("count")]
        meters = [Meters(**group) for group in groups]
        if not meters:
            form.add_error(None, _("Say how many meters there will be."))
        elif sum(row.count for row in meters) > MAX_PLANNED:
            form.add_error(None, _("At most {n} meters are planned at once.").format(n=figures.figure(MAX_PLANNED)))
        else:
            try:
                outcome = planned(meters, SlotPlan(**form.cleaned_data))
            except MeterspanError as error:
                refuse(form, error)
            else:
                more = 1 if len(meters) < MAX_ROWS else 0
                rows = _rows(more)(prefix="rows", initial=groups)
    return render(request, "slots/planning.html", {"form": form, "rows": rows, "outcome": outcome})


def _rows(extra: int) -> "type[BaseFormSet[MetersForm]]":
    return formset_factory(MetersForm, extra=extra, max_num=MAX_ROWS, absolute_max=MAX_ROWS, validate_max=True)
