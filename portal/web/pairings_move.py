"""The adapter reads another metering point from now on, perhaps of another site."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.web import figures
from portal.web.pairings_deeds import Change, Deed, DeedForm, meter_of
from provisioning.fleet.models import MeteringPoint, Site
from provisioning.fleet.queries import visible_metering_points, visible_sites
from provisioning.fleet.services import create_metering_point
from provisioning.pairing.models import Pairing
from provisioning.pairing.services import move

MAX_POINTS = 500


class MoveForm(DeedForm):
    """A metering point of the chosen site that nobody reads, or a new one there."""

    point = forms.ModelChoiceField(
        MeteringPoint.objects.none(),
        label=gettext_lazy("Metering point that it reads then"),
        required=False,
        empty_label=gettext_lazy("a new one, named below"),
    )
    name = forms.CharField(
        label=gettext_lazy("Name of the new metering point"),
        max_length=120,
        required=False,
        help_text=gettext_lazy("Such as: flat 3, or general supply."),
    )
    conditional = ("name",)

    def prepare(self) -> None:
        assert isinstance(self.deed, Move)
        field = self.fields["point"]
        field.queryset = self.deed.free()  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """One of the two."""
        data = super().clean() or self.cleaned_data
        if not data.get("point") and not data.get("name") and "point" not in self.errors:
            self.add_error("name", _("Choose a metering point or name a new one."))
        return data


class Move(Deed):
    """To another metering point; the query's `site` chooses where."""

    title = gettext_lazy("Move the adapter of {point}")
    button = gettext_lazy("Move it")
    done = gettext_lazy("Moved. What was read until now stays with the old metering point.")
    form_class = MoveForm

    @property
    def site(self) -> Site:
        """Where it goes: the chosen site, else the present one."""
        chosen = self.query.get("site", "")
        rows = visible_sites(self.access.user, self.access.organisation)
        found = rows.filter(pk=int(chosen)).first() if chosen.isdecimal() and len(chosen) < 12 else None
        return found or self.pairing.metering_point.site

    def free(self) -> QuerySet[MeteringPoint]:
        """The site's metering points that nobody reads."""
        read = Pairing.objects.filter(metering_point=OuterRef("pk"), to_at=None)
        rows = visible_metering_points(self.access.user, self.access.organisation).filter(site=self.site)
        return rows.filter(~Exists(read))

    def changes(self, data: Mapping[str, Any]) -> list[Change]:
        adapter = figures.eui(self.pairing.adapter.dev_eui)
        point = data.get("point")
        name = point.name if point else data.get("name") or _("the one you choose")
        rows = [
            Change(_("Metering point"), self.pairing.metering_point.name, name),
            Change(_("Site"), self.pairing.metering_point.site.name, self.site.name),
            Change(_("Adapter"), adapter, adapter),
        ]
        if data:
            rows.append(Change(_("Meter"), meter_of(self.pairing), _meter_at(point)))
        return rows

    def consequences(self, data: Mapping[str, Any]) -> list[str]:
        found = [
            _("What was read until then stays with {point}; nobody reads it any more.").format(
                point=self.pairing.metering_point.name
            ),
            _("The meter there must be proved anew: the new pairing is pending until then."),
        ]
        if self.site.pk != self.pairing.metering_point.site_id:
            found.append(_("The adapter changes to a concentrator of the other site and joins there."))
        return found

    def perform(self, data: Mapping[str, Any]) -> Pairing:
        with transaction.atomic():
            point = data["point"] or create_metering_point(self.access.user, self.site, name=data["name"])
            return move(self.access.user, self.pairing, point, data["reason"], at=data["at"])


def _meter_at(point: MeteringPoint | None) -> str:
    meter = point.meters.filter(removed_at=None).first() if point else None
    return meter.meter_id if meter else _("none yet")
