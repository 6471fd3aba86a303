"""Every night: are all audit chains whole, and do they still go through what they were the night before?"""

from datetime import datetime
from typing import Final

from provisioning.accounts.models import Organisation
from provisioning.audit import anchors
from provisioning.audit.models import Verification
from provisioning.audit.queries import latest_verification, passes_through, verify

KEPT: Final = 400  # nights per organisation


def verify_chains(now: datetime) -> list[Verification]:
    """Verify, note and anchor every organisation's chain; returns what was noted. OSError when anchoring failed."""
    rows = [_verified(organisation, now) for organisation in Organisation.objects.order_by("slug")]
    anchors.keep(rows)
    return rows


def _verified(organisation: Organisation, now: datetime) -> Verification:
    before = latest_verification(organisation)
    verdict = verify(organisation)
    broken, reason = verdict.broken, verdict.reason
    if before is not None and before.broken is None and not passes_through(organisation, before.entries, before.head):
        broken, reason = before.entries, "it is not the entry that stood there in an earlier night"
    row = Verification.objects.create(
        organisation=organisation, at=now, entries=verdict.entries, head=verdict.head, broken=broken,
        reason=reason[:200],
    )  # fmt: skip
    rows = Verification.objects.filter(organisation=organisation)
    old = rows.order_by("-at", "-pk").values_list("pk", flat=True)[KEPT:]
    rows.filter(pk__in=list(old)).delete()
    return row
