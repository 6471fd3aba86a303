"""Form fields that several pages share: identifiers as people type them, sites and concentrators to choose from."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from meterwire.scan import MAX_SCAN, classify
from portal.web.access import Access
from provisioning.fleet.queries import visible_concentrators, visible_sites
from provisioning.pairing.services.scans import said

_KINDS = {
    "eui": (16, _("16 hexadecimal digits are needed.")),
    "addr": (8, _("8 hexadecimal digits are needed.")),
    "key": (32, _("32 hexadecimal digits are needed.")),
}


class IdentifierField(forms.CharField):
    """Hexadecimal digits; blanks, dashes and colons between them do not matter. `kind`: eui, addr or key."""

    def __init__(self, *, kind: str, **kwargs: Any) -> None:
        self.length, self.refusal = _KINDS[kind]
        attributes = {"class": "id", "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        kwargs.setdefault("widget", forms.TextInput(attributes))
        super().__init__(max_length=3 * self.length, **kwargs)

    def clean(self, value: Any) -> str:
        """The digits alone, lower case."""
        text = "".join(sign for sign in super().clean(value) if sign not in " -:.").lower()
        if not text and not self.required:
            return ""
        if len(text) != self.length or any(sign not in "0123456789abcdef" for sign in text):
            raise ValidationError(self.refusal)
        return text


class MeterNumber(forms.CharField):
    """A meter's number, typed with or without blanks, or scanned into the field; the canonical number comes out."""

    def __init__(self, **kwargs: Any) -> None:
        attributes = {"class": "id", "autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}
        super().__init__(max_length=MAX_SCAN, widget=forms.TextInput(attributes), **kwargs)

    def clean(self, value: Any) -> str:
        """The refusal says what was scanned instead, or which rule a number breaks."""
        text = super().clean(value)
        if not text:
            return ""
        scan = classify(text)
        if wrong := said(scan, "meter"):
            raise ValidationError(wrong)
        return str(scan.meter_id)


class SiteField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """One of the sites that the member may see."""

    def __init__(self, access: Access, **kwargs: Any) -> None:
        kwargs.setdefault("label", _("Site"))
        kwargs.setdefault("empty_label", _("none yet"))
        super().__init__(visible_sites(access.user, access.organisation).order_by("name"), required=False, **kwargs)


class ConcentratorField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """One of the concentrators that the member may see."""

    def __init__(self, access: Access, **kwargs: Any) -> None:
        kwargs.setdefault("label", _("Concentrator"))
        kwargs.setdefault("empty_label", _("none yet"))
        rows = visible_concentrators(access.user, access.organisation).order_by("name")
        super().__init__(rows, required=False, **kwargs)
