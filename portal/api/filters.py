"""Filters of lists."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from django import forms
from django.db.models import ForeignKey, QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters  # type: ignore[import-untyped]
from django_filters.fields import IsoDateTimeField  # type: ignore[import-untyped]
from rest_framework.exceptions import ValidationError

MAX_KEY = 2**63 - 1


class KeyFilter(filters.NumberFilter):  # type: ignore[misc]
    """By the key of another row; it tells nothing about rows out of reach, for their keys match nothing."""

    def __init__(self, **options: Any) -> None:
        options.pop("queryset", None)
        super().__init__(**{"min_value": 1, "max_value": MAX_KEY, "decimal_places": 0, **options})


class RowFilterSet(filters.FilterSet):  # type: ignore[misc]
    """What `filterset_fields` of a resource become."""

    FILTER_DEFAULTS: ClassVar[dict[Any, Any]] = {
        **filters.FilterSet.FILTER_DEFAULTS,
        ForeignKey: {"filter_class": KeyFilter},
    }


class Backend(filters.DjangoFilterBackend):  # type: ignore[misc]
    """Refuses a filter that a resource does not have, instead of quietly giving everything."""

    ALWAYS = frozenset({"cursor", "page_size"})
    filterset_base = RowFilterSet

    def filter_queryset(self, request: Any, queryset: QuerySet[Any], view: Any) -> Any:
        filterset = self.get_filterset_class(view, queryset)
        known = self.ALWAYS | set(filterset.base_filters if filterset else ())
        for name in request.query_params:
            if name not in known:
                raise ValidationError({name: [_("This list has no such filter.")]})
        return super().filter_queryset(request, queryset, view)


class MomentField(IsoDateTimeField):  # type: ignore[misc]
    """A moment in any ISO 8601 form, handed on in UTC: databases know fewer offsets than the standard does."""

    def to_python(self, value: Any) -> datetime | None:
        moment: datetime | None = super().to_python(value)
        try:
            return None if moment is None else moment.astimezone(UTC)
        except OverflowError:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None


class MomentFilter(filters.IsoDateTimeFilter):  # type: ignore[misc]
    """By a moment."""

    field_class = MomentField


def since(field: str) -> MomentFilter:
    """From that moment on."""
    return MomentFilter(field_name=field, lookup_expr="gte")


def before(field: str) -> MomentFilter:
    """Before that moment."""
    return MomentFilter(field_name=field, lookup_expr="lt")
