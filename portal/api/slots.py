"""Time slots: the map of a concentrator, its plan, the slot of an adapter, and whether a building would fit."""

from typing import Any, Final

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from meterwire.slots import MAX_DATA_RATE, MAX_GUARD_MS, PERIODS, QUANTA_MS, Kind
from portal.api.actors import actor_of, organisation_of
from portal.api.base import Resource, RowSerializer, validated
from portal.telemetry import slot_queries
from portal.telemetry.models import SlotDay
from provisioning.accounts.permissions import require
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.slots import queries
from provisioning.slots.closed_time import closed
from provisioning.slots.models import BEACON_PERIODS, Assignment, SlotPlan
from provisioning.slots.services import plan_of, set_plan
from provisioning.slots.services.plans import MAX_RESERVE

MAX_SHOWN: Final = 60_000  # slots of one answer: some 5 MB
MAX_GROUPS: Final = 50
_KINDS: Final = {kind.name.lower(): kind for kind in Kind}
_RATES: Final = range(MAX_DATA_RATE + 1)


class PlanSerializer(serializers.Serializer[Any]):
    """What is missing in a change stays as it is. What runs is not moved: guard and size hold for slots given later."""

    quantum_ms = serializers.ChoiceField(choices=QUANTA_MS, required=False)
    guard_ms = serializers.IntegerField(min_value=0, max_value=MAX_GUARD_MS, required=False)
    reserve = serializers.IntegerField(
        min_value=0, max_value=MAX_RESERVE, required=False, help_text="thousandths of the time, without slots"
    )
    previous = serializers.BooleanField(required=False, help_text="telegrams carry the value before too")
    by_pairing = serializers.BooleanField(required=False, help_text="who is paired gets a slot")
    beacon_period_s = serializers.ChoiceField(choices=BEACON_PERIODS, required=False, help_text="0: no beacon")
    beacon_data_rate = serializers.ChoiceField(choices=_RATES, required=False)


class ShownPlanSerializer(PlanSerializer):
    full_since = serializers.DateTimeField(read_only=True, allow_null=True)


class ClosedSerializer(serializers.Serializer[Any]):
    """Time in which no adapter has a slot, on all channels."""

    phase_ms = serializers.IntegerField()
    period_s = serializers.IntegerField()
    length_ms = serializers.IntegerField()


class FullnessSerializer(serializers.Serializer[Any]):
    """Shares of the time of all channels, 0 to 1; numbers of slots."""

    used = serializers.FloatField()
    reserve = serializers.FloatField()
    slots = serializers.IntegerField()
    overlapping = serializers.IntegerField()


class SlotMapSerializer(serializers.Serializer[Any]):
    """A row of `slots` has the values of `columns`; rows are by channel and phase."""

    columns = serializers.ListField(child=serializers.CharField())
    slots = serializers.ListField(child=serializers.ListField())
    truncated = serializers.BooleanField(help_text="there are more slots than one answer shows")
    closed = ClosedSerializer(many=True)
    fullness = FullnessSerializer()


class EchoSerializer(serializers.Serializer[Any]):
    """What the adapter last said of its slot."""

    version = serializers.IntegerField(source="echoed_version", allow_null=True)
    state = serializers.SerializerMethodField(allow_null=True)
    rate_ppb = serializers.IntegerField(allow_null=True, help_text="how fast its clock runs")
    uncertainty_ms = serializers.IntegerField(allow_null=True, help_text="how far off its clock may be")
    at = serializers.DateTimeField(source="echoed_at", allow_null=True)

    def get_state(self, row: Assignment) -> str | None:
        return None if row.echoed_state is None else Assignment.State(row.echoed_state).name.lower()


class SlotSerializer(RowSerializer[Assignment]):
    echo = EchoSerializer(source="*", read_only=True)

    class Meta:
        model = Assignment
        fields = [
            "concentrator", "channel", "phase_ms", "period_s", "data_rate", "size", "guard_ms", "length_ms", "version",
            "overlap_ms", "level_dbm", "assigned_at", "proposed_rate", "echo",
        ]  # fmt: skip
        read_only_fields = fields


class DisciplineSerializer(serializers.Serializer[Any]):
    """How the adapter keeps its slot: of its last day, and of the last week (`inside` to `collided`)."""

    day = serializers.DateField()
    used = serializers.FloatField(allow_null=True, help_text="share of the guard; over 1: more than there is")
    early_ms = serializers.FloatField(allow_null=True)
    late_ms = serializers.FloatField(allow_null=True)
    rate_ppb = serializers.IntegerField(allow_null=True)
    uncertainty_ms = serializers.FloatField(allow_null=True)
    inside = serializers.IntegerField(help_text="telegrams in the slot")
    outside = serializers.IntegerField()
    delivery = serializers.FloatField(allow_null=True, help_text="share of its slots in which something arrived")
    collided = serializers.IntegerField(help_text="missed while others came")
    days_left = serializers.FloatField(allow_null=True, help_text="until the guard is used up, if it goes on so")
    state = serializers.CharField(help_text="guard, outside, drift, echo, lost; empty: nothing is wrong")


class SlotDaySerializer(RowSerializer[SlotDay]):
    used = serializers.FloatField(allow_null=True, read_only=True)

    class Meta:
        model = SlotDay
        fields = [
            "day", "version", "guard_ms", "used", "early_ms", "late_ms", "median_ms", "rate_ppb", "uncertainty_ms",
            "inside", "outside", "expected", "arrived", "collided", "answers",
        ]  # fmt: skip
        read_only_fields = fields


class AdapterSlotSerializer(serializers.Serializer[Any]):
    """`slot` null: the adapter has none and sends at jittered times. `days` are the last 60, oldest first."""

    slot = SlotSerializer(allow_null=True)
    discipline = DisciplineSerializer(allow_null=True)
    days = SlotDaySerializer(many=True)


class GroupSerializer(serializers.Serializer[Any]):
    """So many adapters of a kind."""

    count = serializers.IntegerField(min_value=1, max_value=queries.MAX_PLANNED)
    data_rate = serializers.ChoiceField(choices=_RATES)
    kind = serializers.ChoiceField(choices=list(_KINDS), default="values", help_text="the telegram")
    period_s = serializers.ChoiceField(choices=PERIODS, default=900)


class CheckInput(serializers.Serializer[Any]):
    groups = GroupSerializer(many=True, allow_empty=False, max_length=MAX_GROUPS)  # type: ignore[call-arg]
    plan = PlanSerializer(required=False, help_text="what is missing is as usual")

    def validate_groups(self, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if sum(group["count"] for group in groups) > queries.MAX_PLANNED:
            raise serializers.ValidationError(
                _("At most {n} meters are planned at once.").format(n=queries.MAX_PLANNED)
            )
        return groups


class CheckedSerializer(serializers.Serializer[Any]):
    """`placed`: how many of each group get a slot of their own; `used`: share of the time that is taken then.

    `too_often`: the groups, from 0 on, that the duty cycle does not allow to send so often at their data rate.
    """

    fits = serializers.BooleanField()
    placed = serializers.ListField(child=serializers.IntegerField())
    used = serializers.FloatField()
    too_often = serializers.ListField(child=serializers.IntegerField())


class ConcentratorSlots(Resource):
    """What the resource of concentrators knows of slots."""

    @extend_schema(responses=SlotMapSerializer, filters=False)
    @action(detail=True, pagination_class=None)
    def slots(self, request: Request, pk: str) -> Response:
        """Every slot that the concentrator gives, as compact arrays, with the time that is closed to slots."""
        row: Concentrator = self.get_object()
        seen = queries.visible_assignments(self.actor).filter(concentrator=row).order_by("channel", "phase_ms")
        shown = list(seen.values_list(*queries.COLUMNS)[: MAX_SHOWN + 1])
        answer = {
            "columns": [name.removeprefix("adapter__") for name in queries.COLUMNS],
            "slots": shown[:MAX_SHOWN],
            "truncated": len(shown) > MAX_SHOWN,
            "closed": ClosedSerializer(closed(plan_of(row)), many=True).data,
            "fullness": FullnessSerializer(queries.fullness(row)).data,
        }
        return Response(answer)

    @extend_schema(responses=ShownPlanSerializer, filters=False)
    @action(detail=True, pagination_class=None, url_path="slot-plan")
    def slot_plan(self, request: Request, pk: str) -> Response:
        """How the concentrator's time is divided."""
        return Response(ShownPlanSerializer(plan_of(self.get_object())).data)

    @extend_schema(request=PlanSerializer, responses=ShownPlanSerializer)
    @slot_plan.mapping.put
    def set_slot_plan(self, request: Request, pk: str) -> Response:
        """Divide it anew; the concentrator and its adapters are told, and nobody's slot moves."""
        row: Concentrator = self.get_object()
        values = validated(PlanSerializer(data=request.data))
        plan = set_plan(self.actor, row, **{**PlanSerializer(plan_of(row)).data, **values})
        return Response(ShownPlanSerializer(plan).data)


class AdapterSlots(Resource):
    """What the resource of adapters knows of slots."""

    @extend_schema(responses=AdapterSlotSerializer, filters=False)
    @action(detail=True, pagination_class=None)
    def slot(self, request: Request, pk: str) -> Response:
        """When the adapter sends, what it says of that, and how it kept to it."""
        adapter: Adapter = self.get_object()
        row = Assignment.objects.filter(adapter=adapter, concentrator__isnull=False).first()
        kept = None if row is None else slot_queries.discipline(adapter)
        shown = {"slot": row, "discipline": kept, "days": slot_queries.drift(adapter)}
        return Response(AdapterSlotSerializer(shown).data)


class SlotPlans(ViewSet):
    """Planning before a building is fitted out."""

    @extend_schema(request=CheckInput, responses=CheckedSerializer)
    @action(detail=False, methods=["post"])
    def check(self, request: Request) -> Response:
        """Whether these adapters fit at one concentrator that has none yet. Changes nothing."""
        require(actor_of(request), organisation_of(request), "fleet.edit")
        values = validated(CheckInput(data=request.data))
        groups = [queries.Group(**{**group, "kind": _KINDS[group["kind"]]}) for group in values["groups"]]
        found = queries.plan_before_building(groups, SlotPlan(**values.get("plan", {})))
        figures = {"fits": found.fits, "placed": found.placed, "used": found.used, "too_often": found.too_often}
        return Response(figures)
