"""The forms of campaigns and standing schedules: whose keys, how, when, and for how long."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from meterwire.curves import Curve
from portal.web import keys_words
from portal.web.access import Access
from portal.web.fields import IdentifierField, SiteField
from provisioning.accounts.actors import Actor
from provisioning.campaigns.models import Method, Partner
from provisioning.campaigns.services.planning import MAX_GRACE_HOURS, MAX_PER_HOUR, MAX_VALIDITY_DAYS, REPLACED
from provisioning.campaigns.services.schedules import MAX_PERIOD_DAYS
from provisioning.fleet.models import Adapter, Site
from provisioning.fleet.queries import visible_adapters
from provisioning.keys.models import Purpose

_TIME = forms.TimeInput({"type": "time"}, format="%H:%M")


class TermsForm(forms.Form):
    """What campaigns and schedules have in common."""

    dev_eui = IdentifierField(
        kind="eui",
        label=gettext_lazy("Only this adapter"),
        required=False,
        help_text=gettext_lazy("Its DevEUI. Empty: the whole site, or everything."),
    )
    method = forms.ChoiceField(
        label=gettext_lazy("How"),
        choices=[
            (Method.DELIVERY, gettext_lazy("Made here and delivered, wrapped under the key-transport key")),
            (
                Method.EXCHANGE,
                gettext_lazy("Agreed between adapter and partner, so that nobody can compute it who was not there"),
            ),
        ],
        initial=Method.DELIVERY,
        widget=forms.RadioSelect,
    )
    partner = forms.ChoiceField(
        label=gettext_lazy("Who shares the key"),
        choices=[
            (Partner.PORTAL, gettext_lazy("The portal")),
            (Partner.CONCENTRATOR, gettext_lazy("The adapter's concentrator; the portal then cannot open the values")),
        ],
        initial=Partner.PORTAL,
        widget=forms.RadioSelect,
        help_text=gettext_lazy("A concentrator can only agree on a key."),
    )
    curve = forms.ChoiceField(
        label=gettext_lazy("Curve of the agreement"),
        choices=[(curve.value, curve.value) for curve in Curve],
        initial=Curve.X25519.value,
    )
    window_from = forms.TimeField(label=gettext_lazy("Begin no delivery before"), required=False, widget=_TIME)
    window_to = forms.TimeField(
        label=gettext_lazy("Nor after"),
        required=False,
        widget=_TIME,
        help_text=gettext_lazy("In local time of the site, also over midnight. Empty: at any hour."),
    )
    per_hour = forms.IntegerField(
        label=gettext_lazy("Deliveries begun in an hour"),
        min_value=1,
        max_value=MAX_PER_HOUR,
        initial=60,
        help_text=gettext_lazy("At most; a concentrator never begins more than 30, so that its airtime holds."),
    )
    validity_days = forms.IntegerField(
        label=gettext_lazy("New keys hold for how many days"),
        min_value=1,
        max_value=MAX_VALIDITY_DAYS,
        required=False,
        help_text=gettext_lazy("Empty: without an end."),
    )
    grace_hours = forms.IntegerField(
        label=gettext_lazy("Old keys open what comes late for how many hours"),
        min_value=0,
        max_value=MAX_GRACE_HOURS,
        initial=72,
    )

    def __init__(self, access: Access, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._access = access
        self.fields["site"] = SiteField(access, empty_label=_("everything"))
        purposes = [*sorted(REPLACED, key=lambda purpose: purpose != Purpose.INNER), *self._more()]
        self.fields["purpose"] = forms.ChoiceField(
            label=_("Which keys"),
            choices=[(purpose.value, keys_words.purpose_name(purpose)) for purpose in purposes],
            initial=Purpose.INNER.value,
        )
        self.order_fields(["site", "dev_eui", "purpose"])

    @property
    def scope(self) -> Site | Adapter | None:
        """The adapter, else the site, else None: everything."""
        found: Site | Adapter | None = self.cleaned_data["dev_eui"] or self.cleaned_data["site"]
        return found

    def terms(self) -> dict[str, Any]:
        """The arguments of `services.plan` but scope and reason."""
        names = ("purpose", "method", "partner", "curve", "window_from", "window_to", "per_hour", "validity_days",
                 "grace_hours")  # fmt: skip
        return {name: self.cleaned_data[name] for name in names}

    def clean_dev_eui(self) -> Adapter | None:
        text = self.cleaned_data["dev_eui"]
        if not text:
            return None
        row: Adapter | None = self._adapters(self._access.user).filter(dev_eui=text).first()
        if row is None:
            raise forms.ValidationError(_("There is no such adapter here; look at its label, or register it."))
        return row

    def _adapters(self, actor: Actor) -> Any:
        return visible_adapters(actor, self._access.organisation).select_related("organisation")

    def _more(self) -> list[Purpose]:
        return []


class CampaignForm(TermsForm):
    """One run."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=200, required=False, help_text=gettext_lazy("It stays in the audit.")
    )

    def _more(self) -> list[Purpose]:
        return [Purpose.METER]


class ScheduleForm(TermsForm):
    """Every so many days."""

    period_days = forms.IntegerField(
        label=gettext_lazy("Every how many days"), min_value=1, max_value=MAX_PERIOD_DAYS, initial=365
    )
    first_at = forms.DateTimeField(
        label=gettext_lazy("First on"),
        widget=forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"],
        help_text=gettext_lazy("A campaign is made then, and again after every period."),
    )

    def __init__(self, access: Access, *args: Any, **kwargs: Any) -> None:
        super().__init__(access, *args, **kwargs)
        tomorrow = timezone.localtime() + timedelta(days=1)
        self.fields["first_at"].initial = tomorrow.replace(hour=2, minute=0, second=0, microsecond=0)
        self.order_fields(["site", "dev_eui", "purpose", "period_days", "first_at"])
