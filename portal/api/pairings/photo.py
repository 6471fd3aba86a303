"""The photo of a meter: a bounded image body in, a small JPEG out, to those who may see the pairing."""

from collections.abc import Mapping
from typing import IO, Any

from django.http import FileResponse, Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api.base import Resource
from provisioning.fleet.access import require_at
from provisioning.pairing import services
from provisioning.pairing.services.photo import MAX_BYTES, open_photo


class ImageParser(BaseParser):
    """Reads at most one byte more than a photo may have; the service refuses what is too long."""

    media_type = "image/*"

    def parse(  # type: ignore[override]  # the stubs know forms only
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> bytes:
        content: bytes = stream.read(MAX_BYTES + 1)
        return content


class JpegRenderer(BaseRenderer):
    """Lets clients ask for image/jpeg; the view itself sends the file."""

    media_type = "image/jpeg"
    format = "jpeg"
    render_style = "binary"
    charset = None

    def render(self, data: Any, media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else JSONRenderer().render(data)


class PhotoStored(serializers.Serializer[Any]):
    photo = serializers.BooleanField()


class Photos(Resource):
    """PUT and GET of one photo."""

    @extend_schema(
        request=dict.fromkeys(("image/jpeg", "image/png", "image/webp"), OpenApiTypes.BINARY),
        responses=PhotoStored,
    )
    @action(detail=True, methods=["put"], parser_classes=[ImageParser])
    def photo(self, request: Request, pk: str) -> Response:
        """Keep a photo of the meter: JPEG, PNG or WebP of at most 4 MB, stored small and without metadata."""
        pairing = self.get_object()
        # Before the body is read.
        require_at(self.actor, pairing.organisation_id, pairing.metering_point.site_id, "pairing.create")
        services.set_photo(self.actor, pairing, request.data if isinstance(request.data, bytes) else b"")
        return Response({"photo": True}, status.HTTP_200_OK)

    @extend_schema(responses={(200, "image/jpeg"): OpenApiTypes.BINARY}, filters=False)
    @photo.mapping.get
    def photo_shown(self, request: Request, pk: str) -> Any:
        """The photo of the meter."""
        file = open_photo(self.get_object())
        if file is None:
            raise Http404
        return FileResponse(file, content_type="image/jpeg", headers={"Cache-Control": "no-store"})
