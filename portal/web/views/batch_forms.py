"""The forms of batches: a supplier's file with its columns, and a series made here."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.web.access import Access
from portal.web.fields import ConcentratorField, IdentifierField, SiteField
from provisioning.batches.fields import FIELDS
from provisioning.batches.models import Supplier
from provisioning.batches.queries import suppliers
from provisioning.batches.services import MAX_SERIES

NO_COLUMN = _("not in the file")


class UploadForm(forms.Form):
    """A supplier's file. Its columns follow when the file was looked at: see ColumnsForm."""

    conditional = ("new_supplier",)  # needed when no supplier is chosen

    def __init__(self, access: Access, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known: forms.ModelChoiceField[Supplier] = forms.ModelChoiceField(
            suppliers(access.user, access.organisation),
            label=_("Supplier"),
            required=False,
            empty_label=_("a new one"),
        )
        self.fields["supplier"] = known
        self.fields["new_supplier"] = forms.CharField(
            label=_("Name of the new supplier"),
            max_length=80,
            required=False,
            help_text=_("The choice of columns is remembered under it."),
        )
        self.fields["file"] = forms.FileField(
            label=_("File"),
            help_text=_("CSV or XLSX, at most 24 MB and 100,000 rows. It is read and forgotten; its keys are sealed."),
            widget=forms.ClearableFileInput(attrs={"accept": ".csv,.txt,.tsv,.xlsx"}),
            max_length=200,
        )
        self.fields["site"] = SiteField(access, empty_label=_("none: into the stock"))
        self.fields["concentrator"] = ConcentratorField(access)

    def clean(self) -> dict[str, Any]:
        """A supplier is chosen or named."""
        data = super().clean() or self.cleaned_data
        if not data.get("supplier") and not (data.get("new_supplier") or "").strip():
            self.add_error("new_supplier", _("Choose the supplier, or name a new one."))
        return data


class ColumnsForm(forms.Form):
    """Which column fills which field, and the values that hold for all rows."""

    columns = forms.CharField(widget=forms.HiddenInput, initial="shown")

    def __init__(self, titles: Sequence[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", NO_COLUMN), *((title, title) for title in dict.fromkeys(titles) if title)]
        for field in FIELDS:
            label = str(field.label)
            self.fields[f"map_{field.name}"] = forms.ChoiceField(label=label, choices=choices, required=False)
            if field.fixed:
                self.fields[f"default_{field.name}"] = forms.CharField(
                    label=_("For all rows"),
                    max_length=120,
                    required=False,
                    widget=forms.TextInput(attrs={"placeholder": _("one value for all rows")}),
                )

    def lines(self) -> list[tuple[str, bool, forms.BoundField, forms.BoundField | None]]:
        """(label, whether it is needed, its column, its value for all rows) per field."""
        return [
            (
                str(field.label),
                field.required,
                self[f"map_{field.name}"],
                self[f"default_{field.name}"] if field.fixed else None,
            )
            for field in FIELDS
        ]


class SeriesForm(forms.Form):
    """Adapters that are made here."""

    first_dev_eui = IdentifierField(
        kind="eui", label=_("First DevEUI"), help_text=_("16 hexadecimal digits; the others follow it one by one.")
    )
    count = forms.IntegerField(label=_("How many"), min_value=1, max_value=MAX_SERIES)
    join_eui = IdentifierField(kind="eui", label="JoinEUI")
    serial_prefix = forms.CharField(
        label=_("Serial numbers begin with"),
        max_length=30,
        required=False,
        help_text=_("A number from 1 follows. Empty: no serial numbers."),
    )
    tag_length = forms.TypedChoiceField(
        label=_("Tag length"), choices=[("4", "4"), ("8", "8")], coerce=int, initial="4"
    )

    def __init__(self, access: Access, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["site"] = SiteField(access, empty_label=_("none: into the stock"))


def posted(data: Any, prefix: str) -> dict[str, str]:
    """Our field -> what was posted under that prefix, empty ones left out."""
    found = {field.name: str(data.get(f"{prefix}{field.name}", "")).strip() for field in FIELDS}
    return {name: value for name, value in found.items() if value}
