"""Whether an organisation stores register values sealed: administrators decide, off needs a custodian's approval."""

from datetime import datetime
from typing import Final

from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.accounts.permissions import require
from provisioning.approvals.models import Approval
from provisioning.approvals.services import request, use
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict

UNSEAL: Final = "telemetry.unseal"  # the deed that a custodian approves


def seal(actor: Actor, organisation: Organisation, reason: str) -> Organisation:
    """From now on no clear value is stored; what is stored already stays until `manage.py seal_history`.

    Needs accounts.manage. Conflict when it is so already.
    """
    return _switch(actor, organisation, True, reason)


def ask_to_unseal(actor: Actor, organisation: Organisation, reason: str) -> Approval:
    """Ask a key custodian to allow `unseal`. Needs accounts.manage; Conflict when nothing is sealed."""
    require(actor, organisation, "accounts.manage")
    if not _is_sealed(organisation):
        raise Conflict(_("Values are stored clear here already."))
    summary = _("Store register values of {organisation} clear from now on").format(organisation=organisation.name)
    return request(actor, organisation, UNSEAL, _subject(organisation), summary[:200], reason)


def unseal(actor: Actor, organisation: Organisation, reason: str) -> Organisation:
    """From now on values are stored clear; history stays sealed.

    Needs accounts.manage and the fresh approval that the same person got. Conflict without it, or when it is so now.
    """
    return _switch(actor, organisation, False, reason)


def open_request(organisation: Organisation, user: int, now: datetime) -> Approval | None:
    """What that person asked for and has not lapsed: it waits for a custodian, or may be used."""
    rows = Approval.objects.filter(organisation=organisation, deed=UNSEAL, requested_by_id=user, expires_at__gt=now)
    return rows.filter(state__in=[Approval.State.PENDING, Approval.State.APPROVED]).first()


def _switch(actor: Actor, organisation: Organisation, sealed: bool, reason: str) -> Organisation:
    require(actor, organisation, "accounts.manage")
    reason = validation.text("reason", reason, 200, required=True)
    with audited(organisation):
        if not sealed:
            use(actor, organisation, UNSEAL, _subject(organisation))
        rows = Organisation.objects.filter(pk=organisation.pk, sealed_telemetry=not sealed)
        if not rows.update(sealed_telemetry=sealed):
            raise Conflict(_("Values are stored that way already; somebody else was quicker."))
        organisation.sealed_telemetry = sealed
        action = "telemetry.sealed" if sealed else "telemetry.unsealed"
        record(organisation, actor, action, organisation, {"reason": reason})
    return organisation


def _is_sealed(organisation: Organisation) -> bool:
    return Organisation.objects.filter(pk=organisation.pk, sealed_telemetry=True).exists()


def _subject(organisation: Organisation) -> str:
    return f"organisation {organisation.pk}"
