"""Metering points and the meters at them."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api.base import Moment, ReadResource, RowSerializer, validated
from portal.api.fields import MeteringPointField, SiteField
from provisioning.accounts.actors import Actor
from provisioning.fleet import services
from provisioning.fleet.models import Meter, MeteringPoint
from provisioning.fleet.queries import visible_metering_points, visible_meters


class MeteringPointSerializer(RowSerializer[MeteringPoint]):
    class Meta:
        model = MeteringPoint
        fields = ["id", "site", "name", "melo_id", "malo_id", "created_at"]
        read_only_fields = fields


class MeteringPointChange(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=120)
    melo_id = serializers.CharField(max_length=33, required=False, allow_blank=True)
    malo_id = serializers.CharField(max_length=11, required=False, allow_blank=True)


class MeteringPointInput(MeteringPointChange):
    site = SiteField()


class MeteringPoints(ReadResource):
    """Places that are measured; readings belong to them."""

    model = MeteringPoint
    serializer_class = MeteringPointSerializer
    filterset_fields = ["site"]

    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_metering_points(actor)

    @extend_schema(request=MeteringPointInput, responses={201: MeteringPointSerializer})
    def create(self, request: Request) -> Response:
        values = validated(MeteringPointInput(data=request.data, context={"request": request}))
        point = services.create_metering_point(self.actor, values.pop("site"), **values)
        return Response(MeteringPointSerializer(point).data, status.HTTP_201_CREATED)

    @extend_schema(request=MeteringPointChange(partial=True), responses=MeteringPointSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        point = self.get_object()
        held = {"name": point.name, "melo_id": point.melo_id, "malo_id": point.malo_id}
        values = {**held, **validated(MeteringPointChange(data=request.data, partial=True))}
        return Response(MeteringPointSerializer(services.update_metering_point(self.actor, point, **values)).data)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, pk: str) -> Response:
        services.archive_metering_point(self.actor, self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeterSerializer(RowSerializer[Meter]):
    class Meta:
        model = Meter
        fields = ["id", "metering_point", "meter_id", "server_id", "maker", "installed_at", "removed_at"]
        read_only_fields = fields


class MeterInput(serializers.Serializer[Any]):
    metering_point = MeteringPointField()
    meter_id = serializers.CharField(max_length=40, help_text="DIN 43863-5, such as 1 EMH 00 1234 5678")
    server_id = serializers.CharField(max_length=20, required=False, allow_blank=True)
    maker = serializers.CharField(max_length=80, required=False, allow_blank=True)
    installed_at = Moment(required=False)


class MeterRemoval(serializers.Serializer[Any]):
    at = Moment(required=False)


class Meters(ReadResource):
    """Meters, installed and removed ones."""

    model = Meter
    serializer_class = MeterSerializer
    filterset_fields = ["metering_point", "meter_id"]

    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_meters(actor)

    @extend_schema(request=MeterInput, responses={201: MeterSerializer})
    def create(self, request: Request) -> Response:
        values = validated(MeterInput(data=request.data, context={"request": request}))
        meter = services.install_meter(self.actor, values.pop("metering_point"), **values)
        return Response(MeterSerializer(meter).data, status.HTTP_201_CREATED)

    @extend_schema(request=MeterRemoval, responses=MeterSerializer)
    @action(detail=True, methods=["post"])
    def remove(self, request: Request, pk: str) -> Response:
        meter = self.get_object()
        at = validated(MeterRemoval(data=request.data)).get("at")
        return Response(MeterSerializer(services.remove_meter(self.actor, meter, at=at)).data)
