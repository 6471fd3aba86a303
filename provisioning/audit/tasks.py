"""Scheduled work on the audit."""

import logging

from celery import shared_task
from django.utils import timezone

from provisioning.audit import nightly

log = logging.getLogger(__name__)


@shared_task
def verify_chains() -> int:
    """Verify all chains; how many are broken."""
    broken = [row for row in nightly.verify_chains(timezone.now()) if row.broken is not None]
    for row in broken:
        log.error("the audit chain of %s is broken at entry %s: %s", row.organisation.slug, row.broken, row.reason)
    return len(broken)
