"""How pairings are shown: the row, and the live list of the installer."""

from datetime import datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.reverse import reverse

from meterwire.identity import shown
from portal.api.base import Moment, RowSerializer
from portal.telemetry.commissioning import first_reading, waiting_for
from provisioning.pairing.models import Pairing
from provisioning.pairing.queries import progress, slot_state


class PairingSerializer(RowSerializer[Pairing]):
    class Meta:
        model = Pairing
        fields = [
            "id", "adapter", "input", "metering_point", "meter", "register_group", "state", "identity", "from_at",
            "to_at",
        ]  # fmt: skip
        read_only_fields = fields


class ClaimedSerializer(PairingSerializer):
    progress = serializers.CharField(read_only=True, help_text="where to watch it")

    class Meta(PairingSerializer.Meta):
        fields = [*PairingSerializer.Meta.fields, "progress"]
        read_only_fields = fields


class NamedSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()


class PairedAdapterSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    dev_eui = serializers.CharField()


class StepSerializer(serializers.Serializer[Any]):
    step = serializers.CharField()
    at = Moment(allow_null=True)
    detail = serializers.DictField()


class WaitingSerializer(serializers.Serializer[Any]):
    """`message`: what is missing and what to do; `other`: the pairing of the meter that is really read."""

    step = serializers.CharField()
    since = Moment()
    code = serializers.CharField()
    message = serializers.CharField()
    other = serializers.IntegerField(allow_null=True)


class FirstReadingSerializer(serializers.Serializer[Any]):
    obis = serializers.CharField()
    value = serializers.CharField(allow_null=True)
    unit = serializers.CharField()
    measured_at = serializers.CharField()


class ProgressSerializer(serializers.Serializer[Any]):
    """A pairing on its way. `meter` is its number, `identity_read` what the meter calls itself, as people read it."""

    id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=Pairing.State.values)
    identity = serializers.ChoiceField(choices=Pairing.Identity.values)
    adapter = PairedAdapterSerializer()
    input = serializers.IntegerField()
    meter = serializers.CharField(allow_null=True)
    metering_point = NamedSerializer()
    site = NamedSerializer()
    note = serializers.CharField(allow_blank=True)
    from_at = Moment()
    steps = StepSerializer(many=True)
    waiting = WaitingSerializer(allow_null=True)
    reading = FirstReadingSerializer(allow_null=True)
    identity_read = serializers.CharField(allow_null=True)
    display_value = serializers.CharField(allow_null=True)
    display_unit = serializers.CharField(allow_blank=True)
    photo = serializers.BooleanField(help_text="whether there is one")
    slot = serializers.ChoiceField(
        choices=["given", "waits"], allow_null=True, help_text="its time slot comes by itself; null: it gets none"
    )


class InstallationsSerializer(serializers.Serializer[Any]):
    next = serializers.CharField(allow_null=True, help_text="always null: one page")
    results = ProgressSerializer(many=True)


def progress_url(pk: int) -> str:
    """The path of a pairing's live list."""
    return reverse("api-pairings-progress", args=[pk])


def live(pairing: Pairing, now: datetime | None = None) -> dict[str, Any]:
    """A pairing with its stations, what it waits for and its first reading."""
    now = now or timezone.now()
    waiting, reading, point = waiting_for(pairing, now), first_reading(pairing), pairing.metering_point
    return {
        "id": pairing.pk,
        "state": pairing.state,
        "identity": pairing.identity,
        "adapter": {"id": pairing.adapter_id, "dev_eui": pairing.adapter.dev_eui},
        "input": pairing.input,
        "meter": pairing.meter and pairing.meter.meter_id,
        "metering_point": {"id": point.pk, "name": point.name},
        "site": {"id": point.site_id, "name": point.site.name},
        "note": pairing.note,
        "from_at": _utc(pairing.from_at),
        "steps": [{"step": step, "at": at and _utc(at), "detail": detail} for step, at, detail in progress(pairing)],
        "waiting": waiting and {
            "step": waiting.step, "since": _utc(waiting.since), "code": waiting.code, "message": waiting.message,
            "other": waiting.other,
        },
        "reading": reading and {name: reading.get(name) for name in ("obis", "value", "unit", "measured_at")},
        "identity_read": shown(bytes.fromhex(pairing.identity_read)) if pairing.identity_read else None,
        "display_value": None if pairing.display_value is None else str(pairing.display_value),
        "display_unit": pairing.display_unit,
        "photo": bool(pairing.photo),
        "slot": slot_state(pairing),
    }  # fmt: skip


def _utc(moment: datetime) -> Any:
    return Moment().to_representation(moment)
