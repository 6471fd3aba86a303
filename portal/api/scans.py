"""What a scan is, for apps that want to say so at once. Nothing is looked up: the answer never tells what exists."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from meterwire.scan import Kind, classify
from portal.api.actors import actor_of, organisation_of
from portal.api.base import validated
from provisioning.accounts.permissions import require
from provisioning.pairing.services.scans import said

MAX_RAW = 4096  # longer ones are refused before they are read; the bound of a scan itself is much lower


class RawField(serializers.CharField):
    """A scan as the camera or the keyboard gave it: nothing is trimmed, control characters are named later."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_RAW, trim_whitespace=False, allow_blank=True, **kwargs)
        self.validators = [one for one in self.validators if type(one).__name__ != "ProhibitNullCharactersValidator"]


class ScanInput(serializers.Serializer[Any]):
    raw = RawField()
    expected = serializers.ChoiceField(choices=["adapter", "meter"], required=False)


class ScanSerializer(serializers.Serializer[Any]):
    """`ok`: it is what was expected. `message` says what it is, or what to scan instead. `display`: as printed."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind])
    code = serializers.CharField()
    message = serializers.CharField()
    ok = serializers.BooleanField()
    display = serializers.CharField(allow_blank=True)


class Scans(ViewSet):
    """Scans of adapters and meters."""

    @extend_schema(request=ScanInput, responses={200: ScanSerializer})
    def create(self, request: Request) -> Response:
        """Say what a raw scan is."""
        require(actor_of(request), organisation_of(request), "pairing.create")
        values = validated(ScanInput(data=request.data))
        scan = classify(values["raw"])
        wanted = values.get("expected")
        wrong = said(scan, wanted) if wanted else None
        shown = "" if scan.dev_eui is None else scan.dev_eui.label
        return Response(
            {
                "kind": scan.kind.value,
                "code": scan.code,
                "message": wrong or said(scan),
                "ok": wrong is None and scan.kind in {Kind.ADAPTER, Kind.DEV_EUI, Kind.METER},
                "display": shown if scan.meter_id is None else scan.meter_id.display,
            }
        )
