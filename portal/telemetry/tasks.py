"""Scheduled work on telemetry; never one task per reading. The schedule is in portal.celery."""

from celery import shared_task
from django.utils import timezone

from portal.telemetry import retention, rollups


@shared_task
def roll_up() -> int:
    """Condense what is over; returns the number of stretches."""
    return rollups.roll_up(timezone.now())


@shared_task
def apply_retention() -> dict[str, int]:
    """Delete what has been kept long enough; returns the number of rows by kind."""
    return retention.apply(timezone.now())
