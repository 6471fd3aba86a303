"""Manufacturers whose device certificates may ask for a first certificate."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from meterwire.errors import MeterspanError
from portal.web.access import PageRequest, page
from portal.web.forms import refuse
from portal.web.second_factor import fresh_factor
from provisioning.errors import Forbidden
from provisioning.pki import queries
from provisioning.pki.services import distrust_manufacturer, trust_manufacturer
from provisioning.pki.services.manufacturers import MAX_PEM


class ManufacturerForm(forms.Form):
    """A manufacturer and the authority that issues its device certificates."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=120)
    pem = forms.CharField(
        label=gettext_lazy("Certificate of its authority (PEM)"),
        max_length=MAX_PEM,
        widget=forms.Textarea({"class": "id", "rows": 8, "spellcheck": "false"}),
    )
    needs_approval = forms.BooleanField(
        label=gettext_lazy("Each request waits until somebody approves it here"), required=False, initial=True
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page("pki.manage")
@fresh_factor
def manufacturer_new(request: PageRequest) -> HttpResponse:
    """Trust one more."""
    access = request.access
    form = ManufacturerForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            row = trust_manufacturer(access.user, access.organisation, **form.cleaned_data)
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            messages.success(request, _("{name} is trusted.").format(name=row.name), extra_tags="ok")
            return redirect("certificates")
    return render(request, "pki/manufacturer.html", {"form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@page("pki.manage")
def manufacturer_remove(request: PageRequest, pk: int) -> HttpResponse:
    """Ask, then trust it no more."""
    access = request.access
    row = get_object_or_404(queries.manufacturers(access.user, access.organisation), pk=pk)
    if request.method != "POST":
        return render(request, "pki/manufacturer_remove.html", {"manufacturer": row})
    try:
        distrust_manufacturer(access.user, row)
    except Forbidden:
        raise
    except MeterspanError as error:
        messages.error(request, str(error), extra_tags="bad")
    else:
        messages.success(request, _("{name} is trusted no more.").format(name=row.name), extra_tags="ok")
    return redirect("certificates")
