"""Concentrators: what they report, registering them, approving their keys."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api.actors import organisation_of
from portal.api.base import ReadResource, RowSerializer, validated
from portal.api.fields import SiteField
from portal.api.slots import ConcentratorSlots
from provisioning.accounts.actors import Actor
from provisioning.fleet import services
from provisioning.fleet.models import Concentrator
from provisioning.fleet.queries import visible_concentrators


class ConcentratorSerializer(RowSerializer[Concentrator]):
    gateways = serializers.ListField(child=serializers.DictField(), read_only=True)

    class Meta:
        model = Concentrator
        fields = [
            "id", "site", "eui", "name", "online", "last_state_at", "version", "mode", "devices", "desired_revision",
            "running_revision", "queue_depth", "oldest_age_s", "dropped", "clock_quality", "clock_offset_ms",
            "gateways", "public_key", "announced_key", "key_approved_at", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class ConcentratorChange(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=120)
    site = SiteField(required=False, allow_null=True)


class ConcentratorInput(ConcentratorChange):
    eui = serializers.CharField(max_length=40, help_text="EUI-64, 16 hex digits")
    public_key = serializers.CharField(max_length=64, required=False, allow_blank=True, help_text="X25519, hex")


class NewConcentratorSerializer(ConcentratorSerializer):
    """With the password at the broker, which is shown this once and stored nowhere."""

    mqtt_password = serializers.SerializerMethodField()

    class Meta(ConcentratorSerializer.Meta):
        fields = [*ConcentratorSerializer.Meta.fields, "mqtt_password"]
        read_only_fields = fields

    def get_mqtt_password(self, _: Concentrator) -> str:
        return str(self.context["password"])


class KeyApproval(serializers.Serializer[Any]):
    fingerprint = serializers.CharField(max_length=100, help_text="As `concentrator-agent key` prints it")


class Concentrators(ConcentratorSlots, ReadResource):
    """Base stations."""

    model = Concentrator
    serializer_class = ConcentratorSerializer
    filterset_fields = ["site", "eui", "online"]

    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_concentrators(actor)

    @extend_schema(request=ConcentratorInput, responses={201: NewConcentratorSerializer})
    def create(self, request: Request) -> Response:
        values = validated(ConcentratorInput(data=request.data, context={"request": request}))
        new = services.register_concentrator(self.actor, organisation_of(request), **values)
        return Response(_with_password(new), status.HTTP_201_CREATED)

    @extend_schema(request=ConcentratorChange(partial=True), responses=ConcentratorSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        row = self.get_object()
        change = ConcentratorChange(data=request.data, partial=True, context={"request": request})
        values = {"name": row.name, "site": row.site, **validated(change)}
        return Response(ConcentratorSerializer(services.update_concentrator(self.actor, row, **values)).data)

    @extend_schema(request=KeyApproval, responses=ConcentratorSerializer)
    @action(detail=True, methods=["post"], url_path="approve-key")
    def approve_key(self, request: Request, pk: str) -> Response:
        row = self.get_object()
        shown = validated(KeyApproval(data=request.data))["fingerprint"]
        return Response(ConcentratorSerializer(services.approve_key(self.actor, row, shown)).data)

    @extend_schema(request=None, responses=NewConcentratorSerializer)
    @action(detail=True, methods=["post"], url_path="reset-password")
    def reset_password(self, request: Request, pk: str) -> Response:
        return Response(_with_password(services.reset_password(self.actor, self.get_object())))

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, pk: str) -> Response:
        services.archive_concentrator(self.actor, self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


def _with_password(new: services.NewConcentrator) -> dict[str, Any]:
    return dict(NewConcentratorSerializer(new.concentrator, context={"password": new.password}).data)
