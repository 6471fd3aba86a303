"""What a person may see of approvals: what waits for them, what they asked for, what was decided."""

from django.db.models import QuerySet
from django.utils import timezone

from provisioning.accounts.actors import Actor, user_of
from provisioning.accounts.models import Organisation
from provisioning.accounts.permissions import require
from provisioning.approvals.models import Approval


def waiting(actor: Actor, organisation: Organisation) -> QuerySet[Approval]:
    """Requests of others that `actor` can decide now, newest first. Forbidden without keys.approve."""
    require(actor, organisation, "keys.approve")
    user = user_of(actor)
    found = _all(organisation).filter(state=Approval.State.PENDING, expires_at__gt=timezone.now())
    return found if user is None else found.exclude(requested_by_id=user.pk)


def mine(actor: Actor, organisation: Organisation) -> QuerySet[Approval]:
    """What `actor` asked for, newest first. Forbidden without keys.view."""
    require(actor, organisation, "keys.view")
    user = user_of(actor)
    return _all(organisation).filter(requested_by_id=None if user is None else user.pk)


def usable(actor: Actor, organisation: Organisation, deed: str, subject: str) -> Approval | None:
    """The open or approved request of `actor` for `deed` on `subject`, unless it has lapsed."""
    open_states = [Approval.State.PENDING, Approval.State.APPROVED]
    found = mine(actor, organisation).filter(deed=deed, subject=subject, state__in=open_states)
    return found.filter(expires_at__gt=timezone.now()).first()


def history(actor: Actor, organisation: Organisation) -> QuerySet[Approval]:
    """All requests of `organisation`, newest first. Forbidden without keys.view."""
    require(actor, organisation, "keys.view")
    return _all(organisation)


def _all(organisation: Organisation) -> QuerySet[Approval]:
    return Approval.objects.filter(organisation=organisation).select_related(
        "organisation", "requested_by", "decided_by"
    )
