"""Another adapter at the same metering point, or another meter: the history stays with the metering point."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from meterwire.errors import MeterspanError
from portal.web import figures
from portal.web.access import Access
from portal.web.fields import MeterNumber
from portal.web.pairings_deeds import Change, Deed, DeedForm, meter_of
from provisioning.fleet.models import Adapter, Site
from provisioning.fleet.queries import visible_adapters
from provisioning.pairing.models import Pairing
from provisioning.pairing.services import adapter_by_scan, replace_adapter, replace_meter

MAX_STOCK = 100
MAX_LABEL = 512


class LabelInput(forms.TextInput):
    """A scanned or typed label. It holds an owner token, so it is never written back into the page."""

    def format_value(self, value: Any) -> str | None:
        text = super().format_value(value)
        return None if text and ":" in text else text


class AdapterForm(DeedForm):
    """The new adapter by its label, or chosen from stock."""

    label = forms.CharField(
        label=gettext_lazy("Label of the new adapter"),
        required=False,
        max_length=MAX_LABEL,
        strip=True,
        widget=LabelInput({"class": "id", "autocomplete": "off", "spellcheck": "false", "autofocus": True}),
        help_text=gettext_lazy("Scan it into this field, or type the DevEUI."),
    )
    stock = forms.CharField(label=gettext_lazy("Or one that is not paired"), required=False, widget=forms.Select)
    input = forms.TypedChoiceField(
        label=gettext_lazy("Input of the new adapter"), choices=[(n, str(n)) for n in range(8)], coerce=int, initial=0
    )
    conditional = ("label", "stock")

    def prepare(self) -> None:
        point = self.deed.pairing.metering_point
        rows = in_stock(self.deed.access, point.site)[:MAX_STOCK]
        choices = [("", _("choose …"))] + [(str(row.pk), _of_stock(row)) for row in rows]
        if (chosen := self.data.get("stock", "")) and chosen not in dict(choices):
            row = self._chosen(chosen)
            choices += [(str(row.pk), _of_stock(row))] if row else []
        self.fields["stock"].widget.choices = choices

    def clean(self) -> dict[str, Any]:
        """One of the two, and it is an adapter of the organisation."""
        data = super().clean() or self.cleaned_data
        label, stock = data.pop("label", ""), data.pop("stock", "")
        if label:
            try:
                data["stock"] = adapter_by_scan(self.deed.access.user, self.deed.access.organisation, label)
            except MeterspanError as error:
                self.add_error("label", str(error))
        elif stock:
            data["stock"] = self._chosen(stock)
            if data["stock"] is None:
                self.add_error("stock", _("There is no such adapter."))
        elif "label" not in self.errors:
            self.add_error("label", _("Scan a label or choose an adapter."))
        found = data.get("stock")
        if found is not None and (found.pk, data.get("input")) == (
            self.deed.pairing.adapter_id,
            self.deed.pairing.input,
        ):
            self.add_error(None, _("This is the adapter that reads the meter now; choose another one."))
        return data

    def _chosen(self, key: str) -> Adapter | None:
        rows = visible_adapters(self.deed.access.user, self.deed.access.organisation)
        return rows.filter(pk=int(key)).first() if key.isdecimal() and len(key) < 12 else None


class ReplaceAdapter(Deed):
    """Another adapter reads the same meter."""

    title = gettext_lazy("Replace the adapter of {point}")
    button = gettext_lazy("Replace it")
    done = gettext_lazy("Replaced. The metering point keeps its whole history; the new adapter joins now.")
    form_class = AdapterForm

    def changes(self, data: Mapping[str, Any]) -> list[Change]:
        old, new = self.pairing.adapter, data.get("stock")
        after = figures.eui(new.dev_eui) if new else _("the one you choose")
        rows = [
            Change(_("Adapter"), figures.eui(old.dev_eui), after),
            Change(_("Metering point"), self.place, self.place),
            Change(_("Meter"), meter_of(self.pairing), meter_of(self.pairing)),
        ]
        if new is not None:
            site = self.pairing.metering_point.site.name
            rows.append(Change(_("Site of the new adapter"), new.site.name if new.site else _("in stock"), site))
        return rows

    def consequences(self, data: Mapping[str, Any]) -> list[str]:
        return [
            _("The old adapter goes back into stock when nothing else is paired with it."),
            _("All readings stay with the metering point; those of the new adapter follow on."),
            _("The new adapter joins, is configured and proves the meter's number, as after a scan."),
        ]

    def perform(self, data: Mapping[str, Any]) -> Pairing:
        return replace_adapter(
            self.access.user, self.pairing, data["stock"], reason=data["reason"], input=data["input"], at=data["at"]
        )


class MeterForm(DeedForm):
    """The new meter's number and what both displays show."""

    meter_id = MeterNumber(
        label=gettext_lazy("Number of the new meter"),
        help_text=gettext_lazy("As on its face, such as 1 EMH 00 1234 5678; a scanner types it here as well."),
    )
    last_value = forms.DecimalField(
        label=gettext_lazy("Last reading of the old meter, kWh"),
        required=False,
        max_digits=14,
        decimal_places=3,
        min_value=0,
        localize=True,
        widget=forms.TextInput({"inputmode": "decimal", "autocomplete": "off"}),
    )
    first_value = forms.DecimalField(
        label=gettext_lazy("First reading of the new meter, kWh"),
        required=False,
        max_digits=14,
        decimal_places=3,
        min_value=0,
        localize=True,
        widget=forms.TextInput({"inputmode": "decimal", "autocomplete": "off"}),
    )


class ReplaceMeter(Deed):
    """Another meter at the same metering point."""

    title = gettext_lazy("Replace the meter of {point}")
    button = gettext_lazy("Replace it")
    done = gettext_lazy("Replaced. The adapter is told the new meter's number and proves that it reads it.")
    form_class = MeterForm

    def changes(self, data: Mapping[str, Any]) -> list[Change]:
        adapter = figures.eui(self.pairing.adapter.dev_eui)
        after = data.get("meter_id") or _("the one you type")
        rows = [
            Change(_("Meter"), meter_of(self.pairing), after),
            Change(_("Metering point"), self.place, self.place),
            Change(_("Adapter"), adapter, adapter),
        ]
        if data:
            rows.append(Change(_("Display"), _energy(data.get("last_value")), _energy(data.get("first_value"))))
        return rows

    def consequences(self, data: Mapping[str, Any]) -> list[str]:
        return [
            _("The old meter leaves the metering point; its readings stay there."),
            _("Until the new meter's number is proved, the pairing is pending."),
        ]

    def perform(self, data: Mapping[str, Any]) -> Pairing:
        return replace_meter(
            self.access.user,
            self.pairing,
            data["meter_id"],
            reason=data["reason"],
            at=data["at"],
            last_value=data["last_value"],
            first_value=data["first_value"],
        )


def in_stock(access: Access, site: Site) -> QuerySet[Adapter]:
    """Our adapters that nothing is paired with, in stock or at this site already."""
    paired = Pairing.objects.filter(adapter=OuterRef("pk"), to_at=None)
    rows = visible_adapters(access.user, access.organisation).filter(kind=Adapter.Kind.METERSPAN)
    return rows.filter(Q(site=None) | Q(site=site)).filter(~Exists(paired)).order_by("dev_eui")


def _of_stock(row: Adapter) -> str:
    parts = (figures.eui(row.dev_eui), row.serial, row.site.name if row.site else _("in stock"))
    return " · ".join(part for part in parts if part)


def _energy(value: Any) -> str:
    return f"{figures.figure(value, 3)} kWh" if value is not None else _("not noted")
