"""What operators do to pairings; each answers with the pairing that holds from then on."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api.actors import organisation_of
from portal.api.base import Resource, validated
from portal.api.pairings.forms import MoveInput, ReasonInput, ReplaceAdapterInput, ReplaceMeterInput, ResolveInput
from portal.api.pairings.shown import PairingSerializer
from provisioning.pairing import services
from provisioning.pairing.models import Pairing


class Changes(Resource):
    """End, replace, move, resolve."""

    @extend_schema(request=ReasonInput, responses=PairingSerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str) -> Response:
        """End it; the adapter goes back into stock, the readings stay with the metering point."""
        pairing, values = self._said(request, ReasonInput)
        return _shown(services.unpair(self.actor, pairing, **values))

    @extend_schema(request=ReplaceAdapterInput, responses=PairingSerializer)
    @action(detail=True, methods=["post"], url_path="replace-adapter")
    def replace_adapter(self, request: Request, pk: str) -> Response:
        """Another adapter reads the metering point from then on."""
        pairing, values = self._said(request, ReplaceAdapterInput)
        scan, adapter = values.pop("adapter_scan", None), values.pop("adapter", None)
        if (scan is None) == (adapter is None):
            raise ValidationError({"adapter": [_("Give the new adapter, or the scan of its label.")]})
        if adapter is None:
            adapter = services.adapter_by_scan(self.actor, organisation_of(request), scan)
        return _shown(services.replace_adapter(self.actor, pairing, adapter, **values))

    @extend_schema(request=ReplaceMeterInput, responses=PairingSerializer)
    @action(detail=True, methods=["post"], url_path="replace-meter")
    def replace_meter(self, request: Request, pk: str) -> Response:
        """Another meter stands there from then on."""
        pairing, values = self._said(request, ReplaceMeterInput)
        return _shown(services.replace_meter(self.actor, pairing, values.pop("meter_id"), **values))

    @extend_schema(request=MoveInput, responses=PairingSerializer)
    @action(detail=True, methods=["post"])
    def move(self, request: Request, pk: str) -> Response:
        """The adapter reads another metering point from then on."""
        pairing, values = self._said(request, MoveInput)
        point, reason = values.pop("metering_point"), values.pop("reason")
        return _shown(services.move(self.actor, pairing, point, reason, **values))

    @extend_schema(request=ResolveInput, responses=PairingSerializer)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, pk: str) -> Response:
        """Decide what a mismatch means."""
        pairing, values = self._said(request, ResolveInput)
        return _shown(services.resolve_mismatch(self.actor, pairing, values.pop("how"), **values))

    def _said(self, request: Request, form: Any) -> tuple[Pairing, dict[str, Any]]:
        return self.get_object(), validated(form(data=request.data, context={"request": request}))


def _shown(pairing: Pairing) -> Response:
    return Response(PairingSerializer(pairing).data)
