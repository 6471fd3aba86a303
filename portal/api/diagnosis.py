"""Telegrams and events, for finding out what is wrong."""

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters  # type: ignore[import-untyped]
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from portal.api.base import ReadResource, RowSerializer
from portal.api.filters import KeyFilter, before, since
from portal.telemetry.models import AdapterEvent, Telegram
from portal.telemetry.queries import visible_events, visible_telegrams
from provisioning.accounts.actors import Actor

ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}"


class RxSerializer(serializers.Serializer[Any]):
    gw = serializers.CharField()
    rssi = serializers.FloatField()
    snr = serializers.FloatField()


class TelegramSerializer(RowSerializer[Telegram]):
    """`payload` is hex, still sealed; `error` says why it was refused, null: it was not."""

    id = serializers.CharField(read_only=True)
    payload = serializers.SerializerMethodField()
    rx = RxSerializer(many=True, read_only=True)
    time_quality = serializers.CharField(source="get_time_quality_display", read_only=True)

    class Meta:
        model = Telegram
        fields = [
            "id", "dev_eui", "adapter", "concentrator", "received_at", "stored_at", "time_quality", "fport", "fcnt",
            "epoch", "counter", "key_slot", "sealed", "dr", "freq", "rssi", "snr", "rx", "payload", "error",
        ]  # fmt: skip
        read_only_fields = fields

    def get_payload(self, row: Telegram) -> str:
        return bytes(row.payload).hex()


class TelegramFilter(filters.FilterSet):  # type: ignore[misc]
    adapter = KeyFilter(field_name="adapter_id")
    concentrator = KeyFilter(field_name="concentrator_id")
    dev_eui = filters.CharFilter(max_length=16)
    refused = filters.BooleanFilter(field_name="error", lookup_expr="isnull", exclude=True)
    error = filters.CharFilter(max_length=40)
    locals()["from"] = since("received_at")
    to = before("received_at")

    class Meta:
        model = Telegram
        fields: list[str] = []


class Telegrams(ReadResource):
    """Raw telegrams, the newest first."""

    model = Telegram
    serializer_class = TelegramSerializer
    lookup_value_regex = ULID
    filterset_class = TelegramFilter
    ordering = ("-id",)

    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_telegrams(actor)


class EventSerializer(RowSerializer[AdapterEvent]):
    id = serializers.CharField(read_only=True)
    detail = serializers.SerializerMethodField()

    class Meta:
        model = AdapterEvent
        fields = ["id", "kind", "reason", "adapter", "concentrator", "dev_eui", "detail", "at", "stored_at"]
        read_only_fields = fields

    @extend_schema_field({"type": "object", "additionalProperties": {}})
    def get_detail(self, row: AdapterEvent) -> dict[str, Any]:
        return dict(row.detail)


class EventFilter(filters.FilterSet):  # type: ignore[misc]
    adapter = KeyFilter(field_name="adapter_id")
    concentrator = KeyFilter(field_name="concentrator_id")
    kind = filters.CharFilter(max_length=24)
    reason = filters.CharFilter(max_length=40)
    locals()["from"] = since("at")
    to = before("at")

    class Meta:
        model = AdapterEvent
        fields: list[str] = []


class Events(ReadResource):
    """What happened at concentrators and in the pipeline, the newest first."""

    model = AdapterEvent
    serializer_class = EventSerializer
    lookup_value_regex = ULID
    filterset_class = EventFilter
    ordering = ("-at", "-id")

    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_events(actor)
