"""The sign of life of each bridge, and key messages that wait for it."""

from django.db import models

from portal.telemetry.fields import UlidField
from provisioning.fleet.models import Adapter


class Bridge(models.Model):
    """One running bridge, by name; `at` is its last heartbeat, `figures` its counters since `started_at`."""

    name = models.CharField(max_length=80, primary_key=True)
    started_at = models.DateTimeField()
    at = models.DateTimeField()
    connected = models.BooleanField(default=False)
    figures = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.name


class KeyMail(models.Model):
    """What an adapter sent on port 34, by the telegram's id, until it is worked on; written before the receipt."""

    id = UlidField(primary_key=True)
    adapter = models.ForeignKey(Adapter, models.CASCADE, related_name="+")
    payload = models.BinaryField(max_length=242)
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"key message of {self.adapter_id}"
