"""Scheduled work on certificates: lists of revoked ones stay fresh, ended authorities are no longer trusted."""

import logging

from celery import shared_task
from django.utils import timezone

from provisioning.keys.vault_client import VaultAway
from provisioning.pki.services.authorities import retire_ended
from provisioning.pki.services.lists import any_due, refresh_by_vault, stale

logger = logging.getLogger(__name__)


@shared_task
def refresh_lists() -> int:
    """Let the vault sign those lists anew that are due; returns how many. A list that nears its end is an alarm."""
    now = timezone.now()
    retire_ended(now)
    if not any_due(now):
        return 0
    try:
        return refresh_by_vault()
    except VaultAway as error:
        reason = stale(now)
        logger.log(logging.ERROR if reason else logging.WARNING, "%s (%s)", error, reason or "the lists still hold")
        return 0
