"""What time brings to keys, every minute."""

from dataclasses import asdict

from celery import shared_task
from django.utils import timezone

from provisioning.campaigns import services


@shared_task
def tick() -> dict[str, int]:
    """Schedules, ends of campaigns, times of grace, old keys; returns how much was done."""
    return asdict(services.tick(timezone.now()))
