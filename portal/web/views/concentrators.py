"""Concentrators: the list, the page of one, its key's approval, its password, and registering one."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from meterwire.errors import MeterspanError
from meterwire.transport_key import fingerprint
from portal.web import concentrators, life, states, summary
from portal.web.access import Access, PageRequest, page
from portal.web.fields import IdentifierField, SiteField
from portal.web.forms import refuse
from portal.web.keyset import Order, paged
from provisioning.errors import Forbidden
from provisioning.fleet.models import Concentrator
from provisioning.fleet.queries import visible_concentrators
from provisioning.fleet.services import approve_key, register_concentrator, reset_password


class ConcentratorForm(forms.Form):
    """A concentrator to be registered."""

    def __init__(self, access: Access, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["site"] = SiteField(access)

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=120, help_text=gettext_lazy("Where it hangs, such as Lindenweg, attic.")
    )
    eui = IdentifierField(
        kind="eui",
        label=gettext_lazy("EUI"),
        help_text=gettext_lazy("16 hexadecimal digits, from its label or its configuration."),
    )
    public_key = forms.CharField(
        label=gettext_lazy("Public key"),
        max_length=80,
        required=False,
        widget=forms.TextInput({"class": "id", "autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy(
            "If you have it from the command concentrator-agent key, "
            "it is approved at once. Otherwise it announces its key, and you approve it later."
        ),
    )


@require_safe
@page("fleet.view")
def concentrator_list(request: PageRequest) -> HttpResponse:
    """All concentrators."""
    access = request.access
    now = timezone.now()
    found = paged(visible_concentrators(access.user, access.organisation), Order(("name", "pk")), request.GET)
    context = {"page": found, "lines": [(c, states.of_concentrator(c, now)) for c in found.rows]}
    part = request.htmx.target if request.htmx else None
    return render(
        request, "concentrators/table.html" if part == "concentrators" else "concentrators/list.html", context
    )


@require_safe
@page("fleet.view")
def concentrator(request: PageRequest, pk: int) -> HttpResponse:
    """One concentrator."""
    access = request.access
    row = _concentrator(request, pk)
    counts = concentrators.counts(row)
    diagnoses = access.may("telemetry.diagnose")
    context = {
        "concentrator": row,
        "state": states.of_concentrator(row, timezone.now()),
        "counts": counts,
        "life": life.of_concentrator(row, counts.heard + counts.silent),
        "gateways": concentrators.gateways(row),
        "announced": fingerprint(bytes.fromhex(row.announced_key)) if row.announced_key else "",
        "approved": fingerprint(bytes.fromhex(row.public_key)) if row.public_key else "",
        "strangers": concentrators.strangers(row) if diagnoses else [],
        "events": concentrators.events(row) if diagnoses else [],
        "diagnoses": diagnoses,
    }
    part = request.htmx.target if request.htmx else None
    return render(request, "concentrators/live.html" if part == "state" else "concentrators/concentrator.html", context)


@require_POST
@page("concentrator.manage")
def concentrator_approve(request: PageRequest, pk: int) -> HttpResponse:
    """Approve the key whose fingerprint stood on the page."""
    access = request.access
    row = _concentrator(request, pk)
    if request.POST.get("compared") != "yes":
        messages.warning(request, _("Compare the fingerprint first, and say that you did."), extra_tags="warn")
        return redirect("concentrator", pk)
    try:
        approve_key(access.user, row, request.POST.get("shown", "")[:80])
    except Forbidden:
        raise
    except MeterspanError as error:
        messages.error(request, str(error), extra_tags="bad")
    else:
        summary.forget(access)
        messages.success(
            request, _("The key is approved. The device table goes out with root keys wrapped for it."), extra_tags="ok"
        )
    return redirect("concentrator", pk)


@require_http_methods(["GET", "HEAD", "POST"])
@page("concentrator.manage")
def concentrator_password(request: PageRequest, pk: int) -> HttpResponse:
    """Ask, then make a new broker password and show it once."""
    row = _concentrator(request, pk)
    if request.method != "POST":
        return render(request, "concentrators/password.html", {"concentrator": row})
    made = reset_password(request.access.user, row)
    return _once(request, made.concentrator, made.password, new=False)


@require_http_methods(["GET", "HEAD", "POST"])
@page("concentrator.manage")
def concentrator_new(request: PageRequest) -> HttpResponse:
    """Register a concentrator; its broker password is shown once."""
    access = request.access
    form = ConcentratorForm(access, request.POST or None, initial={"site": request.GET.get("site")})
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            made = register_concentrator(
                access.user,
                access.organisation,
                eui=data["eui"],
                name=data["name"],
                site=data["site"],
                public_key=data["public_key"].strip(),
            )
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            summary.forget(access)
            return _once(request, made.concentrator, made.password, new=True)
    return render(request, "concentrators/form.html", {"form": form})


def _once(request: PageRequest, row: Concentrator, password: str, new: bool) -> HttpResponse:
    context = {"concentrator": row, "password": password, "new": new}
    answer = render(request, "concentrators/once.html", context)
    answer["Cache-Control"] = "no-store"
    return answer


def _concentrator(request: PageRequest, pk: int) -> Concentrator:
    access = request.access
    return get_object_or_404(visible_concentrators(access.user, access.organisation), pk=pk)
