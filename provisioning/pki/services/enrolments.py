"""Requests for certificates: taken from who was recognised, approved or refused by a person where that is wanted."""

from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor, user_of
from provisioning.audit.models import Entry
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Concentrator
from provisioning.pki import request as requests
from provisioning.pki.claims import EST, Claim
from provisioning.pki.errors import NotEntitled, RequestRefused
from provisioning.pki.models import Certificate, Enrolment, OneTimePassword

MAX_WAITING: Final = 5  # requests of one concentrator that wait for approval
MAX_VALID: Final = 8  # certificates of one concentrator in force at the same time
TOLD_AGAIN: Final = timedelta(minutes=10)


def request_certificate(claim: Claim, der: bytes, address: str | None, now: datetime) -> Enrolment:
    """The enrolment of this request (PKCS #10): a new one, or the one that the same request made before.

    So an answer that was lost can be fetched again by who proves the same. Raises RequestRefused or NotEntitled.
    """
    concentrator = claim.concentrator
    asked = requests.checked(der, concentrator.eui)
    with audited(concentrator.organisation):
        known = Enrolment.objects.select_for_update().filter(key=asked.key).first()
        if known is not None and known.concentrator_id == concentrator.pk and known.credential == claim.credential:
            return _still_good(known, now)
        if known is not None or Certificate.objects.filter(key=asked.key).exists():
            raise RequestRefused("key", _used())
        _not_too_many(concentrator, now)
        if claim.password is not None:
            _consume(claim.password, asked.key, now)
        with validation.unique(_used()):  # by another organisation, in this very moment
            enrolment = Enrolment.objects.create(
                organisation=concentrator.organisation,
                concentrator=concentrator,
                request=asked.der,
                key=asked.key,
                via=claim.via,
                credential=claim.credential,
                state=Enrolment.State.WAITING if claim.needs_approval else Enrolment.State.APPROVED,
                address=address,
            )
        data = {"via": claim.via, "credential": claim.credential, "key": asked.key, "state": enrolment.state}
        record(concentrator.organisation, EST, "enrolment.requested", concentrator, data)
    return enrolment


def approve_enrolment(actor: Actor, enrolment: Enrolment) -> Enrolment:
    """Let the concentrator have its certificate; it fetches it with its next question."""
    return _decide(actor, enrolment, Enrolment.State.APPROVED, "")


def refuse_enrolment(actor: Actor, enrolment: Enrolment, reason: str) -> Enrolment:
    """Answer the request with `reason`."""
    return _decide(actor, enrolment, Enrolment.State.REFUSED, validation.text("reason", reason, 200, required=True))


def note_refusal(concentrator: Concentrator, fault: str, message: str, now: datetime) -> None:
    """Put a refused request into the audit; the same fault of a device that tries on and on once in ten minutes."""
    seen = Entry.objects.filter(
        organisation_id=concentrator.organisation_id,
        object_type="concentrator",
        object_id=str(concentrator.pk),
        action="enrolment.refused",
        at__gt=now - TOLD_AGAIN,
        data__fault=fault,
    )
    with audited(concentrator.organisation):
        if not seen.exists():
            data = {"fault": fault, "message": message[:200]}
            record(concentrator.organisation, EST, "enrolment.refused", concentrator, data)


def _decide(actor: Actor, enrolment: Enrolment, state: Enrolment.State, reason: str) -> Enrolment:
    concentrator = enrolment.concentrator
    require_at(actor, enrolment.organisation_id, concentrator.site_id, "pki.enrol")
    with audited(enrolment.organisation):
        waiting = Enrolment.objects.filter(pk=enrolment.pk, state=Enrolment.State.WAITING)
        decided = {"decided_at": timezone.now(), "decided_by": user_of(actor), "reason": reason}
        if not waiting.update(state=state, **decided):
            raise Conflict(_("Somebody has decided this request already; look again."))
        data = {"key": enrolment.key, "via": enrolment.via, "reason": reason}
        action = "enrolment.approved" if state == Enrolment.State.APPROVED else "enrolment.rejected"
        record(enrolment.organisation, actor, action, concentrator, data)
    enrolment.refresh_from_db()
    return enrolment


def _still_good(known: Enrolment, now: datetime) -> Enrolment:
    if known.state == Enrolment.State.REFUSED:
        raise NotEntitled("rejected", _("The request was refused: {reason}").format(reason=known.reason))
    if known.state == Enrolment.State.ISSUED:
        issued = known.certificate
        if issued.revoked_at is not None or issued.not_after <= now:
            raise RequestRefused("key", _("This key's certificate is over or revoked; make a new key."))
    return known


def _not_too_many(concentrator: Concentrator, now: datetime) -> None:
    if Enrolment.objects.filter(concentrator=concentrator, state=Enrolment.State.WAITING).count() >= MAX_WAITING:
        raise NotEntitled(
            "too_many", _("{count} requests wait for approval already; decide them first.").format(count=MAX_WAITING)
        )
    if concentrator.certificates.filter(revoked_at=None, not_after__gt=now).count() >= MAX_VALID:
        raise NotEntitled(
            "too_many",
            _("{count} certificates are in force already; revoke those that are not used.").format(count=MAX_VALID),
        )


def _used() -> str:
    return _("This key was used before; make a new one and keep it on the device.")


def _consume(password: OneTimePassword, key: str, now: datetime) -> None:
    if not OneTimePassword.objects.filter(pk=password.pk, key="").update(key=key, used_at=now):
        raise NotEntitled(
            "password_used", _("This password has served another key; get a new one from the portal for this key.")
        )
