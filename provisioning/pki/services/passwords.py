"""One-time passwords: who may ask for a concentrator's first certificate."""

from datetime import timedelta
from typing import Final, NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor, user_of
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Concentrator
from provisioning.pki import passwords
from provisioning.pki.models import OneTimePassword

DAYS: Final = 7
MAX_DAYS: Final = 90


class NewPassword(NamedTuple):
    """The row and the password, which is stored nowhere and shown once."""

    row: OneTimePassword
    password: str

    def __repr__(self) -> str:
        return f"NewPassword({self.row.pk}, password hidden)"


def issue_password(
    actor: Actor, concentrator: Concentrator, *, days: int = DAYS, needs_approval: bool = False
) -> NewPassword:
    """A password that this concentrator can enrol with once; the one before ends."""
    require_at(actor, concentrator.organisation_id, concentrator.site_id, "pki.enrol")
    if not 1 <= days <= MAX_DAYS:
        raise Invalid("days", _("A one-time password holds for 1 to {limit} days.").format(limit=MAX_DAYS))
    password, pepper, now = passwords.new_password(), passwords.current_pepper(), timezone.now()
    with audited(concentrator.organisation):
        validation.present(concentrator)
        concentrator.refresh_from_db(fields=["revoked_at"])
        if concentrator.revoked_at is not None:
            raise Conflict(_("{name} is revoked and gets no certificate.").format(name=concentrator.name))
        concentrator.enrolment_passwords.filter(withdrawn_at=None).update(withdrawn_at=now)
        row = OneTimePassword.objects.create(
            organisation=concentrator.organisation,
            concentrator=concentrator,
            digest=passwords.digest(concentrator.eui, password, pepper),
            pepper=pepper,
            needs_approval=needs_approval,
            created_by=user_of(actor),
            expires_at=now + timedelta(days=days),
        )
        data = {"until": row.expires_at, "needs_approval": needs_approval}
        record(concentrator.organisation, actor, "enrolment.password_issued", concentrator, data)
    return NewPassword(row, password)


def withdraw_password(actor: Actor, concentrator: Concentrator) -> bool:
    """End the present password; False when there is none."""
    require_at(actor, concentrator.organisation_id, concentrator.site_id, "pki.enrol")
    with audited(concentrator.organisation):
        rows = concentrator.enrolment_passwords.filter(withdrawn_at=None)
        if not rows.update(withdrawn_at=timezone.now()):
            return False
        record(concentrator.organisation, actor, "enrolment.password_withdrawn", concentrator)
    return True
