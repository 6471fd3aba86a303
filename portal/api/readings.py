"""Readings of an adapter or a metering point."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django_filters import rest_framework as filters  # type: ignore[import-untyped]
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin

from meterwire.registers import by_index, by_obis, register_number, split_number
from portal.api.base import Resource, RowSerializer
from portal.api.filters import KeyFilter, before, since
from portal.telemetry.models import Reading
from portal.telemetry.queries import readings_of_adapter, readings_of_metering_point
from portal.telemetry.sealed_asking import Purpose, unseal
from provisioning.accounts.actors import Actor

MAX_REGISTER = 7 * 32 + 31


class ReadingSerializer(RowSerializer[Reading]):
    """`value` is exact, in `unit`; null while it is `sealed`. `recovered`: its telegram was lost, the next told it."""

    value = serializers.SerializerMethodField("exact")
    sealed = serializers.SerializerMethodField()
    unit = serializers.SerializerMethodField()
    obis = serializers.SerializerMethodField()
    input = serializers.SerializerMethodField()

    class Meta:
        model = Reading
        fields = [
            "adapter", "metering_point", "counter", "measured_at", "input", "register", "obis", "value", "unit",
            "sealed", "recovered",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field({"type": "string", "nullable": True, "example": "12345.6"})
    def exact(self, row: Reading) -> str | None:
        return None if row.value is None else f"{by_index(row.register & 31).quantity(row.value):f}"

    def get_sealed(self, row: Reading) -> bool:
        return row.value is None

    def get_unit(self, row: Reading) -> str:
        return by_index(row.register & 31).unit

    def get_obis(self, row: Reading) -> str:
        return by_index(row.register & 31).obis

    def get_input(self, row: Reading) -> int:
        return split_number(row.register)[1]


class ReadingFilter(filters.FilterSet):  # type: ignore[misc]
    """Of an adapter or a metering point; `register` is the number or, for input 0, the OBIS code.

    `purpose` opens what is stored sealed, for roles that may.
    """

    adapter = KeyFilter(method="applied_already")
    metering_point = KeyFilter(method="applied_already")
    purpose = filters.ChoiceFilter(method="applied_already", choices=Purpose.choices)
    register = filters.CharFilter(method="of_register", max_length=20)
    # `from` is a word of the language, so it cannot be written as an attribute.
    locals()["from"] = since("measured_at")
    to = before("measured_at")

    class Meta:
        model = Reading
        fields: list[str] = []

    def applied_already(self, queryset: QuerySet[Reading], _name: str, _value: Any) -> QuerySet[Reading]:
        return queryset

    def of_register(self, queryset: QuerySet[Reading], _name: str, value: str) -> QuerySet[Reading]:
        register = by_obis(value)
        number = register_number(register.index) if register else _number(value)
        return queryset.filter(register=number)


@extend_schema(
    description="In the order of adapter, register and time. Ask for an `adapter` or a `metering_point`."
    " An organisation may store values sealed: they are null and `sealed` unless you say a `purpose`, which needs the"
    " right to open them (a token that may do more than read) and stands in the audit."
)
class Readings(ListModelMixin, Resource):
    """One register value each."""

    model = Reading
    serializer_class = ReadingSerializer
    filterset_class = ReadingFilter
    ordering = ("adapter_id", "register", "measured_at", "counter")

    def rows(self, actor: Actor) -> QuerySet[Any]:
        adapter, point = (self._key(name) for name in ("adapter", "metering_point"))
        if point is not None:
            rows = readings_of_metering_point(actor, point)
            return rows if adapter is None else rows.filter(adapter_id=adapter)
        if adapter is None:
            raise ValidationError({"adapter": [_("Say which adapter or which metering_point.")]})
        return readings_of_adapter(actor, adapter)

    def paginate_queryset(self, queryset: Any) -> list[Any] | None:
        rows = super().paginate_queryset(queryset)
        purpose = self.request.query_params.get("purpose")
        if rows and purpose:
            unseal(rows, self.actor, purpose)
        return rows

    def _key(self, name: str) -> int | None:
        text = self.request.query_params.get(name)
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise ValidationError({name: [_("This is no key of a row.")]})
        return int(text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= MAX_REGISTER):
        raise ValidationError({"register": [_("A register is its number (1 to 254) or an OBIS code.")]})
    return int(text)
