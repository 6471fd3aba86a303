"""Revoking: the certificate is void with the commit, and the list that says so is signed right after it."""

from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor, user_of
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.desired import everything_changed
from provisioning.fleet.models import Concentrator
from provisioning.pki.models import Certificate, Enrolment, Reason
from provisioning.pki.services.lists import refresh_soon


def revoke(actor: Actor, certificate: Certificate, reason: str, kind: Reason = Reason.UNSPECIFIED) -> Certificate:
    """Revoke one certificate of a concentrator. Conflict when it is revoked already.

    Was it the one that root keys are wrapped for, the newest that is left takes its place.
    """
    concentrator = certificate.concentrator
    if concentrator is None:
        raise Invalid("certificate", _("A server's certificate is replaced with manage.py pki_init."))
    require_at(actor, concentrator.organisation_id, concentrator.site_id, "concentrator.revoke")
    reason = validation.text("reason", reason, 200, required=True)
    kind = Reason(validation.choice("kind", kind, Reason.values))
    now = timezone.now()
    with audited(concentrator.organisation):
        if not _void(actor, Certificate.objects.filter(pk=certificate.pk), reason, kind, now):
            raise Conflict(_("This certificate is revoked already."))
        _wrap_for_what_is_left(concentrator, now)
        data = {"serial": certificate.serial, "reason": reason, "kind": kind}
        record(concentrator.organisation, actor, "certificate.revoked", concentrator, data)
        refresh_soon()
    certificate.refresh_from_db()
    return certificate


def revoke_all(actor: Actor, concentrator: Concentrator, reason: str) -> int:
    """Revoke whatever certificate of a concentrator is in force, and its chances to get another; returns how many.

    For who has revoked or archived the concentrator and checked the permission for that.
    """
    now = timezone.now()
    with audited(concentrator.organisation):
        concentrator.enrolment_passwords.filter(withdrawn_at=None).update(withdrawn_at=now)
        open_ones = concentrator.enrolments.filter(state__in=[Enrolment.State.WAITING, Enrolment.State.APPROVED])
        open_ones.update(state=Enrolment.State.REFUSED, decided_at=now, reason=reason[:200])
        rows = concentrator.certificates.filter(not_after__gt=now)
        count = _void(actor, rows, reason[:200], Reason.CESSATION, now)
        _wrap_for_what_is_left(concentrator, now)
        if count:
            data = {"count": count, "reason": reason[:200]}
            record(concentrator.organisation, actor, "certificate.revoked", concentrator, data)
            refresh_soon()
    return count


def _void(actor: Actor, rows: QuerySet[Certificate], reason: str, kind: Reason, now: datetime) -> int:
    return rows.filter(revoked_at=None).update(
        revoked_at=now, revoked_by=user_of(actor), revocation=kind, reason=reason
    )


def _wrap_for_what_is_left(concentrator: Concentrator, now: datetime) -> None:
    left = concentrator.certificates.filter(revoked_at=None, not_after__gt=now).order_by("-pk").first()
    key = left.key if left is not None else ""
    if Concentrator.objects.filter(pk=concentrator.pk).exclude(certificate_key=key).update(certificate_key=key):
        everything_changed(concentrator.pk)
