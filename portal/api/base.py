"""What all resources share: rows within the actor's reach, and writes that go through services."""

from datetime import UTC
from typing import Any, ClassVar, TypeVar

from django.db import models
from django.db.models import Model, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.viewsets import GenericViewSet

from portal.api.actors import actor_of
from provisioning.accounts.actors import Actor

Row = TypeVar("Row", bound=Model)


class Resource(GenericViewSet[Any]):
    """`rows` says what the actor may see; an object out of reach does not exist (404)."""

    lookup_value_regex = "[0-9]{1,18}"
    ordering: ClassVar[tuple[str, ...]] = ("pk",)
    model: ClassVar[type[Model]]

    @property
    def actor(self) -> Actor:
        return actor_of(self.request)

    def rows(self, actor: Actor) -> QuerySet[Any]:
        raise NotImplementedError

    def get_queryset(self) -> QuerySet[Any]:
        if getattr(self, "swagger_fake_view", False):
            return self.model._default_manager.none()
        return self.rows(self.actor)


class ReadResource(mixins.ListModelMixin, mixins.RetrieveModelMixin, Resource):
    """Lists, and shows one."""


class Moment(serializers.DateTimeField):
    """A moment in UTC, whatever the reader's time zone."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(default_timezone=UTC, **kwargs)


class RowSerializer(serializers.ModelSerializer[Row]):
    """Shows a row."""

    serializer_field_mapping: ClassVar[dict[Any, Any]] = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.DateTimeField: Moment,
    }


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": 2**63 - 1})
class VisibleField(serializers.PrimaryKeyRelatedField[Any]):
    """The key of a row that the actor can see. Subclasses say which rows."""

    def rows(self, actor: Actor) -> QuerySet[Any]:
        raise NotImplementedError

    def get_queryset(self) -> QuerySet[Any]:
        return self.rows(actor_of(self.context["request"]))


def validated(serializer: serializers.BaseSerializer[Any]) -> dict[str, Any]:
    """The checked input. ValidationError names the first field that is wrong."""
    serializer.is_valid(raise_exception=True)
    data: dict[str, Any] = serializer.validated_data
    return data
