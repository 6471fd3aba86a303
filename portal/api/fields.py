"""References in requests: rows that the actor can see, by key."""

from typing import Any

from django.db.models import QuerySet

from portal.api.base import VisibleField
from provisioning.accounts.actors import Actor
from provisioning.fleet.queries import visible_adapters, visible_concentrators, visible_metering_points, visible_sites


class SiteField(VisibleField):
    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_sites(actor)


class MeteringPointField(VisibleField):
    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_metering_points(actor)


class AdapterField(VisibleField):
    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_adapters(actor)


class ConcentratorField(VisibleField):
    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_concentrators(actor)
