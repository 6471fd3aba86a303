"""The second pair of eyes: ask, approve or refuse, withdraw, use once; each audited."""

from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation, User
from provisioning.accounts.permissions import require
from provisioning.approvals.models import Approval
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Forbidden

DECIDE_WITHIN = timedelta(hours=24)
USE_WITHIN = timedelta(hours=1)
MAX_OPEN = 20  # requests of one person that wait or may be used; more of them nobody reads
_OPEN = Q(state__in=[Approval.State.PENDING, Approval.State.APPROVED])


def request(  # noqa: PLR0917  # who asks where, for what, and why
    actor: Actor, organisation: Organisation, deed: str, subject: str, summary: str, reason: str
) -> Approval:
    """Ask a second person to allow `deed` on `subject`; they have 24 hours.

    `deed` and `subject` bind the approval ("key.reveal", "devicekey 12"), `summary` is what the second person reads.
    A request of one's own that has lapsed makes room. Conflict while one is open; Forbidden without keys.view and for
    programs. Whether the deed itself is permitted is for its own service to ask, before and when it is used.
    """
    user = _person(actor)
    require(actor, organisation, "keys.view")
    deed = validation.text("deed", deed, 40, required=True)
    subject = validation.text("subject", subject, 80, required=True)
    summary = validation.text("summary", summary, 200, required=True)
    reason = validation.text("reason", reason, 200, required=True)
    with audited(organisation):
        now = timezone.now()
        own = Approval.objects.filter(_OPEN, organisation=organisation, requested_by=user)
        own.filter(expires_at__lte=now).update(state=Approval.State.WITHDRAWN, decided_at=now)
        if own.filter(deed=deed, subject=subject).exists():
            raise Conflict(_("You have asked for this already; the request is still open."))
        if own.count() >= MAX_OPEN:
            raise Conflict(
                _("You have {limit} open requests; use or withdraw some of them first.").format(limit=MAX_OPEN)
            )
        approval = Approval.objects.create(
            organisation=organisation,
            deed=deed,
            subject=subject,
            summary=summary,
            reason=reason,
            requested_by=user,
            requested_at=now,
            expires_at=now + DECIDE_WITHIN,
        )
        _tell(actor, approval, "approval.requested", reason)
    return approval


def approve(actor: Actor, approval: Approval) -> Approval:
    """Allow it; whoever asked may use it within one hour. Needs keys.approve; never one's own request."""
    return _decide(actor, approval, Approval.State.APPROVED, "")


def refuse(actor: Actor, approval: Approval, reason: str) -> Approval:
    """Refuse it with a reason, which whoever asked will read. Needs keys.approve; never one's own request."""
    return _decide(actor, approval, Approval.State.REFUSED, validation.text("reason", reason, 200, required=True))


def withdraw(actor: Actor, approval: Approval) -> Approval:
    """Take one's own request back, also when it was approved and not used yet."""
    user = _person(actor)
    require(actor, approval.organisation_id, "keys.view")
    if user.pk != approval.requested_by_id:
        raise Forbidden(_("Only who asked can withdraw a request; refuse it instead."))
    with audited(approval.organisation):
        now = timezone.now()
        open_row = Approval.objects.filter(_OPEN, pk=approval.pk)
        if not open_row.update(state=Approval.State.WITHDRAWN, decided_by=user, decided_at=now):
            raise Conflict(_("This request is not open any more; look again."))
        approval.refresh_from_db()
        _tell(actor, approval, "approval.withdrawn")
    return approval


def use(actor: Actor, organisation: Organisation, deed: str, subject: str) -> Approval:
    """Spend the approval that `actor` got for `deed` on `subject`; call it in the transaction of the deed.

    Conflict when there is none, or it was used, or it has lapsed (one hour after it was given).
    """
    user = _person(actor)
    require(actor, organisation, "keys.view")
    with audited(organisation):
        now = timezone.now()
        mine = Approval.objects.filter(organisation=organisation, deed=deed, subject=subject, requested_by=user)
        approval = mine.filter(state=Approval.State.APPROVED, expires_at__gt=now).first()
        if approval is None or not _spend(approval, now):
            raise Conflict(_("This needs the fresh approval of a second person: ask for it, then come back."))
        approval.refresh_from_db()
        _tell(actor, approval, "approval.used")
    return approval


def _spend(approval: Approval, now: datetime) -> bool:
    row = Approval.objects.filter(pk=approval.pk, state=Approval.State.APPROVED, expires_at__gt=now)
    return bool(row.update(state=Approval.State.USED, used_at=now))


def _decide(actor: Actor, approval: Approval, state: Approval.State, reason: str) -> Approval:
    user = _person(actor)
    require(actor, approval.organisation_id, "keys.approve")
    if user.pk == approval.requested_by_id:
        raise Forbidden(_("Nobody decides their own request; another key custodian has to look at it."))
    with audited(approval.organisation):
        now = timezone.now()
        until = now + USE_WITHIN if state == Approval.State.APPROVED else now
        waiting = Approval.objects.filter(pk=approval.pk, state=Approval.State.PENDING, expires_at__gt=now)
        if not waiting.update(state=state, decided_by=user, decided_at=now, decision=reason, expires_at=until):
            raise Conflict(_("This request does not wait any more: it was decided, withdrawn, or has lapsed."))
        approval.refresh_from_db()
        _tell(actor, approval, f"approval.{state.value}", reason)
    return approval


def _tell(actor: Actor, approval: Approval, action: str, reason: str = "") -> None:
    data = {"deed": approval.deed, "subject": approval.subject, "reason": reason}
    record(approval.organisation, actor, action, approval, data)


def _person(actor: Actor) -> User:
    if not isinstance(actor, User):
        raise Forbidden(_("Approvals are between people; a program can neither ask for one nor give it."))
    return actor
