"""Campaigns that replace keys, and the delivery to each adapter in them."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from meterwire.curves import Curve
from portal.api.actors import organisation_of
from portal.api.base import ReadResource, RowSerializer, validated
from portal.api.fields import AdapterField, SiteField
from portal.api.in_person import require_in_person
from provisioning.accounts.actors import Actor
from provisioning.campaigns import services
from provisioning.campaigns.models import Campaign, Delivery, Method, Partner
from provisioning.campaigns.queries import visible_campaigns, visible_deliveries
from provisioning.campaigns.services.planning import MAX_GRACE_HOURS, MAX_PER_HOUR, MAX_VALIDITY_DAYS, REPLACED
from provisioning.errors import Invalid
from provisioning.keys.models import Purpose

_PURPOSES = sorted(str(purpose.value) for purpose in (*REPLACED, Purpose.METER))


class CampaignProgress(serializers.Serializer[Any]):
    """Deliveries by state."""

    total = serializers.IntegerField()
    planned = serializers.IntegerField()
    delivering = serializers.IntegerField()
    confirmed = serializers.IntegerField()
    active = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()


class CampaignSerializer(RowSerializer[Campaign]):
    progress = CampaignProgress(source="*", read_only=True)

    class Meta:
        model = Campaign
        fields = [
            "id", "site", "adapter", "purpose", "method", "partner", "curve", "window_from", "window_to", "per_hour",
            "validity_days", "grace_hours", "reason", "state", "created_at", "ended_at", "progress",
        ]  # fmt: skip
        read_only_fields = fields


class CampaignInput(serializers.Serializer[Any]):
    """`adapter` or `site`, or neither: everything. The window is in the sites' local time and may run over midnight."""

    site = SiteField(required=False, allow_null=True)
    adapter = AdapterField(required=False, allow_null=True)
    purpose = serializers.ChoiceField(choices=_PURPOSES, required=False)
    method = serializers.ChoiceField(choices=Method.choices, required=False)
    partner = serializers.ChoiceField(choices=Partner.choices, required=False)
    curve = serializers.ChoiceField(choices=[curve.value for curve in Curve], required=False)
    window_from = serializers.TimeField(required=False, allow_null=True)
    window_to = serializers.TimeField(required=False, allow_null=True)
    per_hour = serializers.IntegerField(min_value=1, max_value=MAX_PER_HOUR, required=False)
    validity_days = serializers.IntegerField(min_value=1, max_value=MAX_VALIDITY_DAYS, required=False, allow_null=True)
    grace_hours = serializers.IntegerField(min_value=0, max_value=MAX_GRACE_HOURS, required=False)
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


class CampaignReason(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


class CampaignCancellation(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=200)


class Retried(serializers.Serializer[Any]):
    deliveries = serializers.IntegerField(help_text="planned again")


class DeliverySerializer(RowSerializer[Delivery]):
    """`code` and `message` tell why it failed."""

    dev_eui = serializers.CharField(source="adapter.dev_eui", read_only=True)

    class Meta:
        model = Delivery
        fields = [
            "id", "campaign", "adapter", "dev_eui", "key", "state", "attempts", "sent_at", "due_at", "state_at", "code",
            "message",
        ]  # fmt: skip
        read_only_fields = fields


class KeyCampaigns(ReadResource):
    """Campaigns, the latest first. Changing them needs a session in which a passkey was just shown."""

    model = Campaign
    serializer_class = CampaignSerializer
    filterset_fields = ["site", "adapter", "state", "purpose"]
    ordering = ("-id",)

    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_campaigns(actor)

    @extend_schema(request=CampaignInput, responses={201: CampaignSerializer})
    def create(self, request: Request) -> Response:
        require_in_person(request, "keys.rotate")
        values = validated(CampaignInput(data=request.data, context={"request": request}))
        site, adapter = values.pop("site", None), values.pop("adapter", None)
        if site is not None and adapter is not None:
            raise Invalid("adapter", _("Give an adapter or a site, not both."))
        made = services.plan(self.actor, organisation_of(request), scope=adapter or site, **values)
        return Response(self._shown(made), status.HTTP_201_CREATED)

    @extend_schema(request=CampaignReason, responses=CampaignSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str) -> Response:
        """Begin nothing more; what is under way is finished."""
        return self._steer(request, services.pause, CampaignReason)

    @extend_schema(request=CampaignReason, responses=CampaignSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Go on with a paused campaign."""
        return self._steer(request, services.resume, CampaignReason)

    @extend_schema(request=CampaignCancellation, responses=CampaignSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """End it; what an adapter has confirmed becomes active yet."""
        return self._steer(request, services.cancel, CampaignCancellation)

    @extend_schema(request=None, responses=Retried)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Plan all its failed deliveries again."""
        require_in_person(request, "keys.rotate")
        row = self.get_object()
        return Response({"deliveries": services.retry_failed(self.actor, row)})

    def _steer(self, request: Request, service: Any, form: type[serializers.Serializer[Any]]) -> Response:
        require_in_person(request, "keys.rotate")
        row = self.get_object()
        reason = validated(form(data=request.data)).get("reason", "")
        return Response(self._shown(service(self.actor, row, reason)))

    def _shown(self, row: Campaign) -> Any:
        return CampaignSerializer(self.rows(self.actor).get(pk=row.pk)).data


class KeyDeliveries(ReadResource):
    """Deliveries of campaigns, by number."""

    model = Delivery
    serializer_class = DeliverySerializer
    filterset_fields = ["campaign", "adapter", "state", "code"]

    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_deliveries(actor)

    @extend_schema(request=None, responses=DeliverySerializer)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Plan a failed delivery again."""
        require_in_person(request, "keys.rotate")
        row = self.get_object()
        return Response(DeliverySerializer(services.retry(self.actor, row)).data)
