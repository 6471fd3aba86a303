"""A mismatch: the adapter reads another meter than the one meant. What to do, and whose the waiting readings are."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from django import forms
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from meterwire.identity import meter_of as meter_named
from meterwire.ids import MeterId
from portal.telemetry.quarantine import Held, attribute, quarantined
from portal.web import figures
from portal.web.fields import MeterNumber
from portal.web.pairings_deeds import Change, Deed, DeedForm, meter_of, where
from provisioning.fleet.models import MeteringPoint
from provisioning.fleet.queries import visible_metering_points
from provisioning.pairing.models import Pairing
from provisioning.pairing.queries import visible_pairings
from provisioning.pairing.services import resolve_mismatch

MAX_POINTS = 500
WAYS = {
    "swap": gettext_lazy("Swap with the pairing of that meter: the two adapters were mixed up"),
    "accept": gettext_lazy("The meter that is read is the right one: take its number over"),
    "retry": gettext_lazy("Try again: somebody has put the adapter on the right meter"),
}


class ResolveForm(DeedForm):
    """One of three ways, and whose the waiting readings are."""

    how = forms.ChoiceField(label=gettext_lazy("What is true?"), widget=forms.RadioSelect)
    meter_id = MeterNumber(
        label=gettext_lazy("Number on the meter that is read"),
        required=False,
        help_text=gettext_lazy("Its own name tells no number; type the one on its face."),
    )
    attribute = forms.BooleanField(
        label=gettext_lazy("Give the waiting readings to the metering point where that meter hangs"),
        required=False,
        initial=True,
    )
    at = None  # type: ignore[assignment]

    def prepare(self) -> None:
        deed = self.deed
        assert isinstance(deed, Resolve)
        ways = [(way, words) for way, words in WAYS.items() if way != "swap" or deed.other]
        self.fields["how"].choices = ways  # type: ignore[attr-defined]
        self.fields["how"].initial = ways[0][0]
        if deed.number:
            del self.fields["meter_id"]
        if not deed.held.count:
            del self.fields["attribute"]

    def clean(self) -> dict[str, Any]:
        """A number is needed where the name tells none."""
        data = super().clean() or self.cleaned_data
        asked = "meter_id" in self.fields and "meter_id" not in self.errors
        if data.get("how") == "accept" and asked and not data.get("meter_id"):
            self.add_error("meter_id", _("Type the number that stands on the meter."))
        return data


class Resolve(Deed):
    """Swap, accept or retry."""

    title = gettext_lazy("{point}: the adapter reads another meter")
    button = gettext_lazy("Do it")
    done = gettext_lazy("Decided. The meter's number is proved anew; this page shows when.")
    form_class = ResolveForm

    def refusal(self) -> str:
        if self.pairing.identity != Pairing.Identity.MISMATCH and self.pairing.to_at is None:
            return _("The adapter reads no other meter than the registered one; there is nothing to resolve.")
        return super().refusal()

    @cached_property
    def number(self) -> MeterId | None:
        """The number that the read meter's name tells, if it tells one."""
        read = self.pairing.identity_read
        return meter_named(bytes.fromhex(read)) if read else None

    @cached_property
    def other(self) -> Pairing | None:
        """The open pairing of the meter that is read."""
        rows = visible_pairings(self.access.user, self.access.organisation, open_only=True)
        found = rows.filter(meter__meter_id=str(self.number), register_group=self.pairing.register_group)
        return found.exclude(pk=self.pairing.pk).first() if self.number else None

    @cached_property
    def held(self) -> Held:
        """The readings that wait."""
        return quarantined(self.pairing)

    @cached_property
    def home(self) -> MeteringPoint | None:
        """Where the read meter is installed."""
        rows = visible_metering_points(self.access.user, self.access.organisation)
        return rows.filter(meters__meter_id=str(self.number), meters__removed_at=None).first() if self.number else None

    def changes(self, data: Mapping[str, Any]) -> list[Change]:
        adapter, how = figures.eui(self.pairing.adapter.dev_eui), data.get("how")
        if how is None:
            return []
        rows = [Change(self.place, self._told(self.pairing), self._told(self.pairing))]
        if how == "swap" and self.other:
            other = figures.eui(self.other.adapter.dev_eui)
            rows = [Change(self.place, adapter, other), Change(where(self.other), other, adapter)]
        elif how == "accept":
            rows = [Change(_("Meter"), meter_of(self.pairing), str(self.number or data.get("meter_id", "")))]
            rows.append(Change(_("Metering point"), self.place, self.place))
        if self.held.count:
            goes = self._goes_to(data)
            rows.append(
                Change(self._waiting(self.held.count), _("nobody's"), where_point(goes) if goes else _("nobody's"))
            )
        return rows

    def consequences(self, data: Mapping[str, Any]) -> list[str]:
        found = self._ways() if not data else []
        found.append(_("Until the meter's number is proved, the pairing is pending."))
        if not self.number:
            found.append(_("The meter's own name tells no number, so a swap cannot be worked out from it."))
        elif not self.other:
            found.append(_("No other pairing names the meter that is read, so there is nothing to swap with."))
        return found

    def _ways(self) -> list[str]:
        here, read = self.pairing.metering_point.name, str(self.number or "")
        found = []
        if self.other:
            text = _("Swap: {adapter} reads {there} from now on, {other} reads {here}.")
            found.append(
                text.format(
                    adapter=figures.eui(self.pairing.adapter.dev_eui),
                    there=self.other.metering_point.name,
                    other=figures.eui(self.other.adapter.dev_eui),
                    here=here,
                )
            )
        number = read or _("the number you type")
        text = _("Take over: the meter of {here} is {number} and no longer {before}.")
        found.append(text.format(here=here, number=number, before=meter_of(self.pairing)))
        found.append(
            _("Try again: nothing changes here; the adapter must read {meter}.").format(meter=meter_of(self.pairing))
        )
        return found

    def perform(self, data: Mapping[str, Any]) -> Pairing:
        other, goes, actor = self.other, self._goes_to(data), self.access.user
        reason = data["reason"]
        with transaction.atomic():
            new = resolve_mismatch(actor, self.pairing, data["how"], reason=reason, meter_id=data.get("meter_id", ""))
            if goes is not None:
                attribute(actor, self.pairing, goes, reason=reason)
                if data["how"] == "swap" and other is not None and _mixed_up(other, self.pairing):
                    attribute(actor, other, self.pairing.metering_point, reason=reason)
        return new

    def _goes_to(self, data: Mapping[str, Any]) -> MeteringPoint | None:
        if not data.get("attribute") or not self.held.count:
            return None
        if data.get("how") == "accept":
            return self.pairing.metering_point
        return self.other.metering_point if data.get("how") == "swap" and self.other else self.home

    def _told(self, pairing: Pairing) -> str:
        return _("{meter}, to be proved anew").format(meter=meter_of(pairing))

    @staticmethod
    def _waiting(count: int) -> str:
        return ngettext("{n} waiting reading", "{n} waiting readings", count).format(n=figures.figure(count))


class AttributeForm(DeedForm):
    """The metering point that the readings belong to."""

    point = forms.ModelChoiceField(
        MeteringPoint.objects.none(), label=gettext_lazy("Metering point that they belong to"), empty_label=None
    )
    at = None  # type: ignore[assignment]

    def prepare(self) -> None:
        access, pairing = self.deed.access, self.deed.pairing
        rows = visible_metering_points(access.user, access.organisation).filter(site=pairing.metering_point.site)
        self.fields["point"].queryset = rows  # type: ignore[attr-defined]
        self.fields["point"].initial = pairing.metering_point_id


class Attribute(Deed):
    """Give readings that belong to nobody to a metering point, after the mismatch was decided."""

    title = gettext_lazy("Whose are the waiting readings of {point}?")
    button = gettext_lazy("Give them to it")
    done = gettext_lazy("The readings belong to the metering point now.")
    form_class = AttributeForm

    @cached_property
    def held(self) -> Held:
        """The readings that wait."""
        return quarantined(self.pairing)

    def refusal(self) -> str:
        if self.pairing.to_at is None and self.pairing.identity == Pairing.Identity.MISMATCH:
            return _("Resolve the mismatch first; the readings can be given away with that.")
        return "" if self.held.count else _("No readings wait here.")

    def changes(self, data: Mapping[str, Any]) -> list[Change]:
        point = data.get("point")
        count = Resolve._waiting(self.held.count)
        return [Change(count, _("nobody's"), where_point(point) if point else _("the one you choose"))]

    def consequences(self, data: Mapping[str, Any]) -> list[str]:
        stretch = _("They were measured from {first} to {last}.")
        first, last = self.held.first, self.held.last
        return [
            stretch.format(first=figures.day(first), last=figures.day(last)) if first and last else "",
            _("They appear in the charts, exports and the API of that metering point."),
        ]

    def perform(self, data: Mapping[str, Any]) -> Pairing:
        attribute(self.access.user, self.pairing, data["point"], reason=data["reason"])
        return self.pairing


def where_point(point: MeteringPoint) -> str:
    """Metering point and site."""
    return f"{point.name} · {point.site.name}"


def _mixed_up(other: Pairing, pairing: Pairing) -> bool:
    """Whether the other adapter, too, read the meter of this pairing."""
    if other.identity != Pairing.Identity.MISMATCH or not other.identity_read or pairing.meter is None:
        return False
    return str(meter_named(bytes.fromhex(other.identity_read))) == pairing.meter.meter_id
