"""What requests about pairings say."""

from typing import Any

from rest_framework import serializers

from portal.api.base import Moment
from portal.api.fields import AdapterField, MeteringPointField, SiteField
from portal.api.scans import RawField
from provisioning.pairing.services.resolve import HOW
from provisioning.pairing.services.values import UNITS


class ValueField(serializers.DecimalField):
    """A reading from a display, exact."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=14, decimal_places=3, min_value=0, required=False, allow_null=True, **kwargs)


class ClaimInput(serializers.Serializer[Any]):
    """Both scans as they were read; the server decides what they are."""

    adapter_scan = RawField(help_text="The text of the label's QR code (TR005), with its owner token", write_only=True)
    meter_scan = RawField(help_text="The meter's number or code (DIN 43863-5)")
    site = SiteField(required=False, allow_null=True)
    metering_point = MeteringPointField(required=False, allow_null=True)
    input = serializers.IntegerField(min_value=0, max_value=7, required=False)
    note = serializers.CharField(max_length=200, required=False, allow_blank=True)
    display_value = ValueField()
    display_unit = serializers.ChoiceField(choices=UNITS, required=False)
    scanned_at = Moment(required=False, allow_null=True, help_text="By the phone's clock")


class ConfirmInput(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)


class ReasonInput(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=200)
    at = Moment(required=False)


class ReplaceAdapterInput(ReasonInput):
    """Give the new `adapter`, or the scan of its label."""

    adapter = AdapterField(required=False)
    adapter_scan = RawField(required=False, write_only=True)
    input = serializers.IntegerField(min_value=0, max_value=7, required=False)


class ReplaceMeterInput(ReasonInput):
    meter_id = serializers.CharField(max_length=40, help_text="DIN 43863-5, such as 1 EMH 00 1234 5678")
    server_id = serializers.CharField(max_length=20, required=False, allow_blank=True)
    maker = serializers.CharField(max_length=80, required=False, allow_blank=True)
    last_value = ValueField(help_text="of the old meter, in kWh")
    first_value = ValueField(help_text="of the new meter, in kWh")


class MoveInput(ReasonInput):
    metering_point = MeteringPointField()
    input = serializers.IntegerField(min_value=0, max_value=7, required=False)


class ResolveInput(serializers.Serializer[Any]):
    how = serializers.ChoiceField(choices=HOW)
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True)
    meter_id = serializers.CharField(max_length=40, required=False, allow_blank=True)
