"""Every night: are all audit chains whole, and do they still go through what they were the last time?"""

import logging
from datetime import datetime
from typing import Final

from provisioning.accounts.models import Organisation
from provisioning.audit import anchors
from provisioning.audit.models import Verification
from provisioning.audit.queries import passes_through, verify

log = logging.getLogger(__name__)

KEPT: Final = 400  # nights per organisation


def verify_chains(now: datetime) -> list[Verification]:
    """Verify, note and anchor every organisation's chain; returns what was noted. OSError when anchoring failed.

    A chain that is broken is an error in the log, also when the anchors find no place.
    """
    rows = [_verified(organisation, now) for organisation in Organisation.objects.order_by("slug")]
    for row in rows:
        if row.broken is not None:
            log.error("the audit chain of %s is broken at entry %s: %s", row.organisation.slug, row.broken, row.reason)
    anchors.keep(rows)
    return rows


def _verified(organisation: Organisation, now: datetime) -> Verification:
    nights = Verification.objects.filter(organisation=organisation).order_by("-at", "-pk")
    sound = nights.filter(broken=None).first()  # not simply the last one: a forged chain is forged every night
    verdict = verify(organisation)
    broken, reason = verdict.broken, verdict.reason
    if sound is not None and not passes_through(organisation, sound.entries, sound.head):
        broken, reason = sound.entries, "it is not the entry that stood there in an earlier night"
    row = Verification.objects.create(
        organisation=organisation, at=now, entries=verdict.entries, head=verdict.head, broken=broken,
        reason=reason[:200],
    )  # fmt: skip
    old = nights.values_list("pk", flat=True)[KEPT:]
    Verification.objects.filter(pk__in=list(old)).delete()
    return row
