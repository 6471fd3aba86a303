"""The incident that an audit chain is broken, or was not verified for days, for those who may look at the audit."""

from datetime import timedelta

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.web import figures
from portal.web.access import Access
from portal.web.incident import Incident
from portal.web.shelf import Shelf
from provisioning.audit.models import Verification
from provisioning.audit.queries import latest_verification

FRESH_S = 60.0
OVERDUE = timedelta(days=2)


def incidents(access: Access) -> list[Incident]:
    """Empty for everybody else."""
    if not access.may("audit.view"):
        return []
    latest = shelf.get((access.organisation.pk,))
    if latest is None:
        return []
    if latest.broken is not None:
        text = _("From entry {n} on nothing is proven; found on {day}.")
        return [
            Incident(
                "bad",
                _("The audit chain is broken"),
                text.format(n=figures.figure(latest.broken), day=figures.day(latest.at)),
                latest.at,
                1,
                reverse("audit"),
                _("Keep database, backups and anchors as they are, and find out who had access to the database."),
            )
        ]
    if timezone.now() - latest.at > OVERDUE:
        return [
            Incident(
                "warn",
                _("The audit chain is no longer verified every night"),
                _("The last time was {day}.").format(day=figures.day(latest.at)),
                latest.at,
                0,
                reverse("audit"),
                _("Look whether the scheduler and its worker run."),
            )
        ]
    return []


def _take(key: tuple[int]) -> Verification | None:
    return latest_verification(key[0])


shelf: Shelf[tuple[int], Verification | None] = Shelf(_take, FRESH_S)
