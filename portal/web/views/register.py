"""Registering: one of our adapters, and somebody else's LoRaWAN device by its keys."""

from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from meterwire.errors import MeterspanError
from portal.web import summary
from portal.web.access import Access, PageRequest, page
from portal.web.fields import ConcentratorField, IdentifierField, SiteField
from portal.web.forms import refuse
from provisioning.errors import Forbidden
from provisioning.fleet.models import Adapter
from provisioning.fleet.services import create_adapter
from provisioning.keys.services import issue_adapter_keys, register_foreign_device


class _DeviceForm(forms.Form):
    def __init__(self, access: Access, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["site"] = SiteField(access)
        self.fields["concentrator"] = ConcentratorField(
            access, help_text=gettext_lazy("The one that serves it. Without one its frames are those of a stranger.")
        )
        self.fields["location"] = forms.CharField(
            label=gettext_lazy("Where it hangs"),
            max_length=120,
            required=False,
            help_text=gettext_lazy("Such as: cellar, left."),
        )


class AdapterForm(_DeviceForm):
    """One of our adapters."""

    dev_eui = IdentifierField(
        kind="eui", label="DevEUI", help_text=gettext_lazy("16 hexadecimal digits from the adapter's label.")
    )
    join_eui = IdentifierField(kind="eui", label="JoinEUI")
    serial = forms.CharField(label=gettext_lazy("Serial number"), max_length=40, required=False)


class ForeignForm(_DeviceForm):
    """A device by its keys: the AppKey, or address and session keys."""

    dev_eui = IdentifierField(kind="eui", label="DevEUI")
    activation = forms.ChoiceField(
        label=gettext_lazy("Activation"),
        choices=[("otaa", gettext_lazy("It joins (OTAA)")), ("abp", gettext_lazy("It does not join (ABP)"))],
        widget=forms.RadioSelect,
        initial="otaa",
    )
    join_eui = IdentifierField(
        kind="eui",
        label="JoinEUI",
        required=False,
        help_text=gettext_lazy("OTAA only; called AppEUI by older devices."),
    )
    app_key = IdentifierField(
        kind="key", label="AppKey", required=False, help_text=gettext_lazy("OTAA only: 32 hexadecimal digits.")
    )
    dev_addr = IdentifierField(
        kind="addr", label="DevAddr", required=False, help_text=gettext_lazy("ABP only: 8 hexadecimal digits.")
    )
    nwk_s_key = IdentifierField(kind="key", label="NwkSKey", required=False, help_text=gettext_lazy("ABP only."))
    app_s_key = IdentifierField(kind="key", label="AppSKey", required=False, help_text=gettext_lazy("ABP only."))
    lorawan = forms.ChoiceField(label=gettext_lazy("LoRaWAN version"), choices=Adapter.LoRaWAN.choices, initial="1.0.3")

    # Needed or not by the activation, as their help says: "optional" would be wrong of them.
    conditional = ("app_key", "dev_addr", "nwk_s_key", "app_s_key")

    def clean(self) -> dict[str, Any]:
        """Keep what belongs to the chosen activation, and demand it."""
        data = super().clean() or self.cleaned_data
        abp, otaa = ["dev_addr", "nwk_s_key", "app_s_key"], ["app_key"]
        wanted, other = (abp, otaa) if data.get("activation") == "abp" else (otaa, abp)
        for name in wanted:
            if not data.get(name) and name not in self.errors:
                self.add_error(name, _("This is needed for the chosen activation."))
        for name in other:
            data[name] = ""
        return data


@require_http_methods(["GET", "HEAD", "POST"])
@page("fleet.edit")
def adapter_new(request: PageRequest) -> HttpResponse:
    """Register an adapter; its first keys are made at once when the role allows that."""
    access = request.access
    form = AdapterForm(access, request.POST or None, initial=_initial(request))
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            with transaction.atomic():
                made = create_adapter(access.user, access.organisation, **data)
                if access.may("keys.issue"):
                    issue_adapter_keys(access.user, made)
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            summary.forget(access)
            if access.may("keys.issue"):
                messages.success(
                    request,
                    _("Registered, and its first keys are made. A key custodian hands them over."),
                    extra_tags="ok",
                )
            else:
                messages.success(request, _("Registered. Now let an operator issue its keys."), extra_tags="ok")
            return redirect("adapter", made.pk)
    return render(request, "adapters/form.html", {"form": form, "foreign": False})


@sensitive_post_parameters("app_key", "nwk_s_key", "app_s_key")
@require_http_methods(["GET", "HEAD", "POST"])
@page("fleet.edit")
def foreign_new(request: PageRequest) -> HttpResponse:
    """Register a foreign device by its keys; they are sealed at once and never shown again."""
    access = request.access
    access.require("keys.import")
    form = ForeignForm(access, request.POST or None, initial=_initial(request))
    if request.method == "POST" and form.is_valid():
        data = {key: value for key, value in form.cleaned_data.items() if key != "activation"}
        if not data["join_eui"]:
            del data["join_eui"]
        try:
            made = register_foreign_device(access.user, access.organisation, **data)
        except Forbidden:
            raise
        except MeterspanError as error:
            refuse(form, error)
        else:
            summary.forget(access)
            messages.success(
                request,
                _("Registered. It is served as soon as its concentrator runs the new device table."),
                extra_tags="ok",
            )
            return redirect("adapter", made.pk)
    return render(request, "adapters/form.html", {"form": form, "foreign": True})


def _initial(request: PageRequest) -> dict[str, str]:
    """What the link that led here knows already: a stranger's EUIs, the site, the concentrator."""
    return {
        name: request.GET[name][:40] for name in ("dev_eui", "join_eui", "site", "concentrator") if name in request.GET
    }
