"""Pairings, to read."""

from typing import Any

from django.db.models import QuerySet

from portal.api.base import ReadResource, RowSerializer
from provisioning.accounts.actors import Actor
from provisioning.pairing.models import Pairing
from provisioning.pairing.queries import visible_pairings


class PairingSerializer(RowSerializer[Pairing]):
    class Meta:
        model = Pairing
        fields = [
            "id", "adapter", "input", "metering_point", "meter", "register_group", "state", "identity", "from_at",
            "to_at",
        ]  # fmt: skip
        read_only_fields = fields


class Pairings(ReadResource):
    """Which input of which adapter reads which metering point, from when to when."""

    model = Pairing
    serializer_class = PairingSerializer
    filterset_fields = ["adapter", "metering_point", "state"]

    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_pairings(actor)
