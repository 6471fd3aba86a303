"""What about certificates needs somebody: renewals that do not come, requests that wait, a list that grows stale."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Max, Min, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.web import figures
from portal.web.access import Access, reach_of
from portal.web.certificates import RENEWED_BY
from portal.web.incident import Incident
from portal.web.shelf import Shelf
from provisioning.fleet.models import Concentrator
from provisioning.pki.models import Enrolment
from provisioning.pki.services import stale

FRESH_S = 5.0
FORGOTTEN = timedelta(days=30)  # after the end: it works without, or is gone
Key = tuple[int, frozenset[int] | None]


@dataclass(frozen=True, slots=True)
class Due:
    """Concentrators whose renewal is late and when the first one ends; requests that wait; why lists are stale."""

    late: int = 0
    first_end: datetime | None = None
    waiting: int = 0
    waiting_since: datetime | None = None
    stale: str = ""


def incidents(access: Access) -> list[Incident]:
    """For those who may look at certificates."""
    if not access.may("pki.view"):
        return []
    due = shelf.get(reach_of(access))
    found = []
    if due.stale:
        found.append(_stale(due))
    if due.late:
        found.append(_late(due))
    if due.waiting:
        found.append(_waiting(due))
    return found


def take(key: Key) -> Due:
    """Ask the database."""
    organisation, sites = key
    now = timezone.now()
    left = (1 - RENEWED_BY) * timedelta(days=float(settings.PKI["days"]))
    there = Concentrator.objects.filter(organisation_id=organisation, archived_at=None, revoked_at=None)
    waiting = Enrolment.objects.filter(organisation_id=organisation, state=Enrolment.State.WAITING).order_by()
    if sites is not None:
        there, waiting = there.filter(site__in=sites), waiting.filter(concentrator__site__in=sites)
    ends = there.order_by().annotate(end=Max("certificates__not_after", filter=Q(certificates__revoked_at=None)))
    late = ends.filter(end__gt=now - FORGOTTEN, end__lt=now + left).aggregate(n=Count("pk"), first=Min("end"))
    asked = waiting.aggregate(n=Count("pk"), first=Min("created_at"))
    return Due(late["n"], late["first"], asked["n"], asked["first"], stale(now))


def _stale(due: Due) -> Incident:
    return Incident(
        "bad",
        _("The list of revoked certificates is not signed anew"),
        _("When it is over, the broker refuses every concentrator."),
        None,
        0,
        reverse("certificates"),
        _("Look whether the vault process and the scheduler run; manage.py pki_crl signs it at once."),
    )


def _late(due: Due) -> Incident:
    assert due.first_end is not None
    over = due.first_end <= timezone.now()
    title = ngettext(
        "{n} concentrator does not renew its certificate", "{n} concentrators do not renew their certificates", due.late
    )
    said = _("The first one has ended on {end}.") if over else _("The first one ends on {end}.")
    return Incident(
        "bad" if over else "warn",
        title.format(n=figures.figure(due.late)),
        said.format(end=figures.day(due.first_end)),
        None,
        due.late,
        reverse("certificates"),
        _("Look at the concentrator's log: does it reach the EST listener? An ended one needs a one-time password."),
    )


def _waiting(due: Due) -> Incident:
    title = ngettext("{n} request for a certificate waits", "{n} requests for a certificate wait", due.waiting)
    return Incident(
        "warn",
        title.format(n=figures.figure(due.waiting)),
        _("Until somebody approves it, the concentrator cannot connect with a certificate."),
        due.waiting_since,
        due.waiting,
        reverse("certificates"),
        _("Approve it when the concentrator is being set up; refuse it when nobody knows of it."),
    )


shelf: Shelf[Key, Due] = Shelf(take, FRESH_S)
