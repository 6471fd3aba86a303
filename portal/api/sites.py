"""Sites."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api.actors import organisation_of
from portal.api.base import ReadResource, RowSerializer, validated
from provisioning.accounts.actors import Actor
from provisioning.fleet import services
from provisioning.fleet.models import Site
from provisioning.fleet.queries import visible_sites


class SiteSerializer(RowSerializer[Site]):
    class Meta:
        model = Site
        fields = ["id", "name", "street", "postcode", "city", "country", "time_zone", "created_at"]
        read_only_fields = fields


class SiteInput(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=120)
    street = serializers.CharField(max_length=120, required=False, allow_blank=True)
    postcode = serializers.CharField(max_length=12, required=False, allow_blank=True)
    city = serializers.CharField(max_length=80, required=False, allow_blank=True)
    country = serializers.CharField(min_length=2, max_length=2, required=False)
    time_zone = serializers.CharField(max_length=40, required=False)


class Sites(ReadResource):
    """Buildings and properties."""

    model = Site
    serializer_class = SiteSerializer

    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_sites(actor)

    @extend_schema(request=SiteInput, responses={201: SiteSerializer})
    def create(self, request: Request) -> Response:
        values = validated(SiteInput(data=request.data))
        site = services.create_site(self.actor, organisation_of(request), **values)
        return Response(SiteSerializer(site).data, status.HTTP_201_CREATED)

    @extend_schema(request=SiteInput(partial=True), responses=SiteSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        site = self.get_object()
        values = {"name": site.name, **validated(SiteInput(data=request.data, partial=True))}
        return Response(SiteSerializer(services.update_site(self.actor, site, **values)).data)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, pk: str) -> Response:
        services.archive_site(self.actor, self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)
