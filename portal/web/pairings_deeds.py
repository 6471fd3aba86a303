"""What can be done to a pairing: each deed shows before and after, says what it leads to, and is done by a service."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.http import QueryDict
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.web import figures
from portal.web.access import Access
from provisioning.pairing.models import Pairing
from provisioning.pairing.services import confirm, unpair

MAX_REASON = 200
Text = str | Promise


@dataclass(frozen=True, slots=True)
class Change:
    """One thing before and after; equal texts: it stays as it is."""

    name: str
    before: str
    after: str

    @property
    def stays(self) -> bool:
        return self.before == self.after


class Moment(forms.DateTimeField):
    """When the change took place, in the portal's time zone; empty: now. Nobody changes the future."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        super().__init__(required=False, widget=widget, **kwargs)

    def clean(self, value: Any) -> datetime | None:
        """The moment, with its time zone."""
        at: datetime | None = super().clean(value)
        if at is not None and at > timezone.now():
            raise forms.ValidationError(_("This lies in the future; choose when it really happened."))
        return at


class DeedForm(forms.Form):
    """Why; and when."""

    reason = forms.CharField(
        label=gettext_lazy("Why?"), max_length=MAX_REASON, help_text=gettext_lazy("It is noted in the audit.")
    )
    at = Moment(label=gettext_lazy("Since when?"), help_text=gettext_lazy("Empty: from now on."))

    def __init__(self, deed: "Deed", *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deed = deed
        self.prepare()
        for name in ("reason", "at"):  # what is asked for everywhere comes last
            if name in self.fields:
                self.fields[name] = self.fields.pop(name)

    def prepare(self) -> None:
        """Fit the fields to the pairing."""


class Deed(ABC):
    """One deed on one pairing, before somebody does it. `looked_at`: what was typed is shown once more before."""

    title: ClassVar[Text]
    button: ClassVar[Text]
    done: ClassVar[Text]
    danger: ClassVar[bool] = False
    looked_at: ClassVar[bool] = True
    compares: ClassVar[bool] = False  # display and reading stand above the button
    form_class: type[DeedForm] = DeedForm
    arguments: ClassVar[dict[str, str]] = {}  # the service's argument names -> the form's

    def __init__(self, access: Access, pairing: Pairing, query: QueryDict) -> None:
        self.access, self.pairing, self.query = access, pairing, query

    def form(self, data: QueryDict | None = None) -> DeedForm:
        """The form; a second one after a refusal has what was typed."""
        return self.form_class(self, data)

    def refusal(self) -> str:
        """Why this cannot be done to this pairing now; empty: it can."""
        return _("This pairing has ended already.") if self.pairing.to_at is not None else ""

    @abstractmethod
    def changes(self, data: Mapping[str, Any]) -> list[Change]:
        """Before and after, as far as `data` (cleaned; empty at first) says."""

    @abstractmethod
    def consequences(self, data: Mapping[str, Any]) -> list[str]:
        """What this leads to, a sentence each."""

    @abstractmethod
    def perform(self, data: Mapping[str, Any]) -> Pairing:
        """Do it; the pairing whose page comes next."""

    def kept(self, data: Mapping[str, Any]) -> dict[str, str]:
        """What the second look carries along, by field. Never a label: it holds an owner token."""
        return {name: _written(value) for name, value in data.items() if value not in (None, "")}

    @property
    def place(self) -> str:
        """The metering point in words."""
        return where(self.pairing)


def where(pairing: Pairing) -> str:
    """Metering point and site."""
    return f"{pairing.metering_point.name} · {pairing.metering_point.site.name}"


def meter_of(pairing: Pairing) -> str:
    """The meter's number, or that there is none."""
    return pairing.meter.meter_id if pairing.meter else _("none")


class EndForm(DeedForm):
    release = forms.BooleanField(
        label=gettext_lazy("The adapter goes back into stock: no site, no concentrator"), required=False, initial=True
    )


class End(Deed):
    """Unpair."""

    title = gettext_lazy("End the pairing with {point}?")
    button = gettext_lazy("End it")
    done = gettext_lazy("The pairing has ended. Its readings stay with the metering point.")
    danger, looked_at = True, False
    form_class = EndForm

    def changes(self, data: Mapping[str, Any]) -> list[Change]:
        adapter = figures.eui(self.pairing.adapter.dev_eui)
        return [
            Change(_("Read by"), adapter, _("nobody")),
            Change(_("Meter"), meter_of(self.pairing), _("stays there")),
        ]

    def consequences(self, data: Mapping[str, Any]) -> list[str]:
        return [
            _("From then on its readings are filed under no metering point."),
            _("In stock the concentrator forgets the adapter; a new label pairs it again."),
            _("Everything read until then stays with the metering point."),
        ]

    def perform(self, data: Mapping[str, Any]) -> Pairing:
        return unpair(
            self.access.user, self.pairing, reason=data["reason"], at=data["at"], release=bool(data["release"])
        )


class ConfirmForm(DeedForm):
    at = None  # type: ignore[assignment]

    def prepare(self) -> None:
        self.fields["reason"].required = False
        self.fields["reason"].label = _("Note")
        self.fields["reason"].help_text = _("Such as: 12,345.7 on the display at 14:10.")


class Confirm(Deed):
    """A person compared the display with the reading."""

    title = gettext_lazy("Does the display of {point} show this reading?")
    button = gettext_lazy("Yes, it agrees")
    done = gettext_lazy("Confirmed: the display was compared.")
    looked_at, compares = False, True
    form_class = ConfirmForm

    def refusal(self) -> str:
        if self.pairing.identity == Pairing.Identity.MISMATCH:
            return _("The adapter reads another meter. Resolve that; nobody can confirm it.")
        if self.pairing.state != Pairing.State.PENDING:
            return _("This pairing is not waiting for confirmation.")
        return super().refusal()

    def changes(self, data: Mapping[str, Any]) -> list[Change]:
        return [Change(_("State"), _("pending"), _("confirmed by a person"))]

    def consequences(self, data: Mapping[str, Any]) -> list[str]:
        return [
            _("Compare only with the display of this very meter, not with a list."),
            _("When they differ, end the pairing or move the adapter instead."),
        ]

    def perform(self, data: Mapping[str, Any]) -> Pairing:
        return confirm(self.access.user, self.pairing, Pairing.Identity.UNREADABLE, data["reason"])


def _written(value: Any) -> str:
    if isinstance(value, datetime):
        return timezone.localtime(value).strftime("%Y-%m-%dT%H:%M:%S")
    if isinstance(value, bool):
        return "on" if value else ""
    return str(getattr(value, "pk", value))
