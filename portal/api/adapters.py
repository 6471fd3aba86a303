"""Adapters and foreign LoRaWAN devices, with what is known of them now."""

import json
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api.actors import organisation_of
from portal.api.base import ReadResource, RowSerializer, validated
from portal.api.fields import ConcentratorField, SiteField
from portal.api.slots import AdapterSlots
from portal.telemetry.models import AdapterStatus
from portal.telemetry.queries import gaps
from provisioning.accounts.actors import Actor
from provisioning.fleet import services
from provisioning.fleet.models import Adapter
from provisioning.fleet.queries import visible_adapters
from provisioning.keys.services import register_foreign_device
from provisioning.pairing.models import Configuration
from provisioning.pairing.services import set_reporting
from provisioning.pairing.services.configuration import MAX_PERIOD_S, MIN_PERIOD_S


class StatusSerializer(RowSerializer[AdapterStatus]):
    missing = serializers.IntegerField(read_only=True, help_text="counters that never arrived")

    class Meta:
        model = AdapterStatus
        fields = [
            "state", "last_seen", "due_at", "period_s", "rssi", "snr", "dr", "telegrams", "refused", "last_error",
            "last_error_at", "first_counter", "last_counter", "missing", "epoch", "fcnt",
        ]  # fmt: skip
        read_only_fields = fields


class AdapterSerializer(RowSerializer[Adapter]):
    status = StatusSerializer(read_only=True, allow_null=True)

    class Meta:
        model = Adapter
        fields = [
            "id", "dev_eui", "join_eui", "serial", "kind", "activation", "dev_addr", "lorawan", "location", "site",
            "concentrator", "created_at", "status",
        ]  # fmt: skip
        read_only_fields = fields

    def to_representation(self, instance: Adapter) -> dict[str, Any]:
        if not hasattr(instance, "status"):
            instance.status = None  # never heard
        return super().to_representation(instance)


class AdapterChange(serializers.Serializer[Any]):
    serial = serializers.CharField(max_length=40, required=False, allow_blank=True)
    location = serializers.CharField(max_length=120, required=False, allow_blank=True)
    site = SiteField(required=False, allow_null=True)
    concentrator = ConcentratorField(required=False, allow_null=True)


class AdapterInput(AdapterChange):
    dev_eui = serializers.CharField(max_length=40, help_text="16 hex digits, most significant first")
    join_eui = serializers.CharField(max_length=40)


class ForeignInput(AdapterChange):
    """Give `app_key`, or `dev_addr` with both session keys. Keys are hex; they are never shown again."""

    dev_eui = serializers.CharField(max_length=40, help_text="16 hex digits, most significant first")
    join_eui = serializers.CharField(max_length=40, required=False)
    lorawan = serializers.ChoiceField(choices=Adapter.LoRaWAN.choices, required=False)
    app_key = serializers.CharField(max_length=60, write_only=True, required=False)
    dev_addr = serializers.CharField(max_length=20, required=False)
    nwk_s_key = serializers.CharField(max_length=60, write_only=True, required=False)
    app_s_key = serializers.CharField(max_length=60, write_only=True, required=False)


class ReportingSerializer(serializers.Serializer[Any]):
    """`period_s` null and missing inputs: as the adapter is set up itself. `version` is wanted, `running` reported."""

    period_s = serializers.IntegerField(allow_null=True, required=False, min_value=MIN_PERIOD_S, max_value=MAX_PERIOD_S)
    registers = serializers.DictField(
        child=serializers.ListField(child=serializers.IntegerField(min_value=1, max_value=30), max_length=30),
        required=False, help_text="register indexes by input, such as {\"0\": [1, 2]}",
    )  # fmt: skip
    version = serializers.IntegerField(read_only=True)
    running = serializers.IntegerField(read_only=True, allow_null=True)


class GapSerializer(serializers.Serializer[Any]):
    first = serializers.IntegerField()
    last = serializers.IntegerField()


class Adapters(AdapterSlots, ReadResource):
    """Metering communication adapters and foreign LoRaWAN devices."""

    model = Adapter
    serializer_class = AdapterSerializer
    ordering = ("dev_eui", "id")
    filterset_fields = ["site", "concentrator", "kind", "dev_eui", "status__state"]

    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_adapters(actor).select_related("status")

    @extend_schema(request=AdapterInput, responses={201: AdapterSerializer})
    def create(self, request: Request) -> Response:
        values = validated(AdapterInput(data=request.data, context={"request": request}))
        adapter = services.create_adapter(self.actor, organisation_of(request), **values)
        return Response(AdapterSerializer(adapter).data, status.HTTP_201_CREATED)

    @extend_schema(request=ForeignInput, responses={201: AdapterSerializer})
    @action(detail=False, methods=["post"])
    def foreign(self, request: Request) -> Response:
        """Register somebody else's LoRaWAN device by its keys."""
        values = validated(ForeignInput(data=request.data, context={"request": request}))
        adapter = register_foreign_device(self.actor, organisation_of(request), **values)
        return Response(AdapterSerializer(adapter).data, status.HTTP_201_CREATED)

    @extend_schema(request=AdapterChange(partial=True), responses=AdapterSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        adapter = self.get_object()
        values = validated(AdapterChange(data=request.data, partial=True, context={"request": request}))
        if {"site", "concentrator"} & set(values):
            places = {"site": adapter.site, "concentrator": adapter.concentrator}
            moved = {name: values.pop(name, place) for name, place in places.items()}
            adapter = services.move_adapter(self.actor, adapter, **moved)
        if values:
            held = {"serial": adapter.serial, "location": adapter.location}
            adapter = services.update_adapter(self.actor, adapter, **{**held, **values})
        return Response(AdapterSerializer(adapter).data)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, pk: str) -> Response:
        services.archive_adapter(self.actor, self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses=GapSerializer(many=True), filters=False)
    @action(detail=True, pagination_class=None)
    def gaps(self, request: Request, pk: str) -> Response:
        """The latest 100 stretches of counters that never arrived."""
        adapter = get_object_or_404(visible_adapters(self.actor, action="telemetry.diagnose"), pk=pk)
        return Response(GapSerializer(gaps(adapter), many=True).data)

    @extend_schema(responses=ReportingSerializer, filters=False)
    @action(detail=True)
    def reporting(self, request: Request, pk: str) -> Response:
        """What the adapter is to send, and how often."""
        return Response(_reporting(Configuration.objects.filter(adapter=self.get_object()).first()))

    @extend_schema(request=ReportingSerializer(partial=True), responses=ReportingSerializer)
    @reporting.mapping.patch
    def set_reporting(self, request: Request, pk: str) -> Response:
        """Set it; the adapter is told over the air."""
        adapter = self.get_object()
        held = _reporting(Configuration.objects.filter(adapter=adapter).first())
        values = {**held, **validated(ReportingSerializer(data=request.data, partial=True))}
        registers = {int(name) if name.isdecimal() else -1: chosen for name, chosen in values["registers"].items()}
        row = set_reporting(self.actor, adapter, period_s=values["period_s"], registers=registers)
        return Response(_reporting(row))


def _reporting(row: Configuration | None) -> dict[str, Any]:
    if row is None:
        return {"period_s": None, "registers": {}, "version": 0, "running": None}
    registers = json.loads(row.registers or "{}")
    return {"period_s": row.period_s, "registers": registers, "version": row.version, "running": row.running}
