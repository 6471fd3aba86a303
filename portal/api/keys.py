"""The inventory of keys: which there are and what became of them; never their values."""

from typing import Any

from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters  # type: ignore[import-untyped]
from rest_framework import serializers

from portal.api.base import ReadResource, RowSerializer
from portal.api.filters import KeyFilter, before
from provisioning.accounts.actors import Actor
from provisioning.campaigns.models import Delivery
from provisioning.campaigns.queries import inventory
from provisioning.keys.models import DeviceKey, KeyState, Purpose


class DeviceKeySerializer(RowSerializer[DeviceKey]):
    """`check_value` is AES-128 over 16 zero bytes under the key, cut to 3 bytes, hex. `failure` tells why its last
    delivery failed, `failure_code` in one word; null when none did.
    """

    dev_eui = serializers.CharField(source="adapter.dev_eui", read_only=True)
    failure = serializers.CharField(read_only=True, allow_null=True)
    failure_code = serializers.CharField(read_only=True, allow_null=True)

    class Meta:
        model = DeviceKey
        fields = [
            "id", "adapter", "dev_eui", "purpose", "partner", "slot", "version", "state", "tag_length", "check_value",
            "not_before", "not_after", "created_at", "state_at", "last_used_at", "grace_until", "failure",
            "failure_code",
        ]  # fmt: skip
        read_only_fields = fields


class DeviceKeyFilter(filters.FilterSet):  # type: ignore[misc]
    adapter = KeyFilter(field_name="adapter_id")
    site = KeyFilter(field_name="adapter__site_id")
    purpose = filters.ChoiceFilter(choices=Purpose.choices)
    state = filters.ChoiceFilter(choices=KeyState.choices)
    expires_before = before("not_after")
    failed = filters.BooleanFilter(method="by_outcome")

    class Meta:
        model = DeviceKey
        fields: list[str] = []

    def by_outcome(self, rows: QuerySet[DeviceKey], _: str, failed: bool) -> QuerySet[DeviceKey]:
        lost = Q(outcome=Delivery.State.FAILED)
        return rows.filter(lost if failed else ~lost | Q(outcome=None))  # most keys were never delivered


class Keys(ReadResource):
    """Keys of adapters, by number. Their values are not to be had here."""

    model = DeviceKey
    serializer_class = DeviceKeySerializer
    filterset_class = DeviceKeyFilter

    def rows(self, actor: Actor) -> QuerySet[Any]:
        return inventory(actor)
