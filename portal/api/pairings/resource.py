"""The resource: POST two scans with an Idempotency-Key, then follow the progress."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from portal.api.actors import organisation_of
from portal.api.base import ReadResource, validated
from portal.api.filters import MomentField
from portal.api.pairings.changes import Changes
from portal.api.pairings.forms import ClaimInput, ConfirmInput
from portal.api.pairings.photo import Photos
from portal.api.pairings.shown import (
    ClaimedSerializer,
    InstallationsSerializer,
    PairingSerializer,
    ProgressSerializer,
    live,
    progress_url,
)
from portal.telemetry.commissioning import heard_levels
from provisioning.accounts.actors import Actor, user_of
from provisioning.pairing import services
from provisioning.pairing.models import Pairing
from provisioning.pairing.queries import installations, visible_pairings

MAX_MINE = 200
_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 8, "maxLength": 80, "pattern": "^[A-Za-z0-9_-]+$"},
    OpenApiParameter.HEADER,
    required=True,
    description="New for each scan; the same key gives the same answer without a second effect.",
)


class Pairings(Photos, Changes, ReadResource):
    """Which input of which adapter reads which metering point, from when to when."""

    model = Pairing
    serializer_class = PairingSerializer
    filterset_fields = ["adapter", "metering_point", "state"]

    def rows(self, actor: Actor) -> QuerySet[Any]:
        return visible_pairings(actor)

    @extend_schema(request=ClaimInput, responses={201: ClaimedSerializer}, parameters=[_KEY])
    def create(self, request: Request) -> Response:
        """Pair an adapter with a meter from two raw scans."""
        values = validated(ClaimInput(data=request.data, context={"request": request}))
        answer = services.claim(
            self.actor,
            organisation_of(request),
            services.ClaimRequest(**values),
            key=request.headers.get("Idempotency-Key", ""),
            heard=heard_levels,
        )
        body = {**answer.body, "progress": progress_url(answer.body["id"])} if answer.status == 201 else answer.body
        return Response(body, answer.status)

    @extend_schema(responses=ProgressSerializer, filters=False)
    @action(detail=True)
    def progress(self, request: Request, pk: str) -> Response:
        """The stations that it has reached, and what it waits for."""
        return Response(live(self.get_object()))

    @extend_schema(
        responses=InstallationsSerializer,
        filters=False,
        parameters=[OpenApiParameter("since", {"type": "string", "format": "date-time"}, description="else today")],
    )
    @action(detail=False, pagination_class=None, filter_backends=[])
    def mine(self, request: Request) -> Response:
        """What you paired since then, by default today, the latest 200."""
        user = user_of(self.actor)
        assert user is not None
        mine = installations(user, organisation_of(request), _since(request))
        rows = visible_pairings(self.actor).filter(pk__in=mine.values("pk")).prefetch_related("steps")[:MAX_MINE]
        now = timezone.now()
        return Response({"next": None, "results": [live(row, now) for row in rows]})

    @extend_schema(request=ConfirmInput, responses=PairingSerializer)
    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, pk: str) -> Response:
        """The display was compared with the first reading, where the meter does not tell its name."""
        values = validated(ConfirmInput(data=request.data))
        pairing = services.confirm(self.actor, self.get_object(), reason=values.get("reason", ""))
        return Response(PairingSerializer(pairing).data, status.HTTP_200_OK)


def _since(request: Request) -> datetime:
    text = request.query_params.get("since")
    if not text:
        return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        since: datetime | None = MomentField().clean(text)
    except Exception:
        since = None
    if since is None:
        raise ValidationError({"since": [_("This is no moment; write it as 2026-11-27T08:00:00Z.")]})
    return since
