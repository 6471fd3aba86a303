"""Scheduled work that depends on whether anybody listens to MQTT at all."""

from datetime import datetime, timedelta

from celery import shared_task
from django.utils import timezone

from portal.bridge.models import Bridge
from portal.telemetry import silence
from portal.telemetry.live import tell

ALIVE = timedelta(seconds=30)
CATCHING_UP = timedelta(minutes=2)  # after its start a bridge first gets what waited in the concentrators


def listening(now: datetime) -> bool:
    """Whether a bridge is connected to the broker, and has been for long enough to know who is silent."""
    alive = Bridge.objects.filter(connected=True, at__gte=now - ALIVE)
    return alive.filter(started_at__lte=now - CATCHING_UP).exists()


@shared_task
def detect_silence() -> bool:
    """Judge silence, unless the portal itself is deaf; returns whether it was judged."""
    now = timezone.now()
    if not listening(now):
        return False
    tell(silence.detect(now))
    return True
