"""The sign of life of each bridge."""

from django.db import models


class Bridge(models.Model):
    """One running bridge, by name; `at` is its last heartbeat, `figures` its counters since `started_at`."""

    name = models.CharField(max_length=80, primary_key=True)
    started_at = models.DateTimeField()
    at = models.DateTimeField()
    connected = models.BooleanField(default=False)
    figures = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.name
