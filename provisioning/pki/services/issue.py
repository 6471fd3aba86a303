"""Issuing: the vault reads an approved enrolment itself, checks it once more, signs, and writes down what it signed."""

from datetime import datetime, timedelta
from typing import Final

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning.audit.services import audited, record
from provisioning.errors import Conflict
from provisioning.fleet.desired import everything_changed
from provisioning.fleet.models import Concentrator
from provisioning.keys.vault import Vault
from provisioning.keys.vault_client import ask
from provisioning.keys.vault_operations import RowId
from provisioning.pki import build, request, signing
from provisioning.pki.claims import EST
from provisioning.pki.errors import NoAuthority
from provisioning.pki.models import Certificate, Enrolment
from provisioning.pki.queries import active_authority
from provisioning.pki.services.authorities import ends

ISSUE: Final = "pki_issue"


class IssueFor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which enrolment."""

    enrolment: RowId


class Issued(msgspec.Struct, frozen=True):
    """The certificate's row."""

    certificate: int


def issue_by_vault(enrolment: Enrolment) -> Certificate:
    """Let the vault sign for an approved enrolment. Raises VaultAway, VaultRefused, and here also what `issue` does."""
    answer = ask(ISSUE, IssueFor(enrolment.pk), Issued)
    return Certificate.objects.get(pk=answer.certificate, enrolment=enrolment)


def issue(vault: Vault, enrolment_id: int, now: datetime) -> Certificate:
    """The certificate of an approved enrolment, made when there is none yet. Where the vault is.

    From now on root keys are wrapped for its key, so the device table goes out as a whole. Conflict when nobody has
    approved it or the concentrator may not have one; NoAuthority.
    """
    found = Enrolment.objects.select_related("organisation").filter(pk=enrolment_id).first()
    if found is None:
        raise Conflict(_("There is no such request."))
    with audited(found.organisation):
        row = Enrolment.objects.select_for_update().get(pk=found.pk)
        if row.state == Enrolment.State.ISSUED:
            return row.certificate
        if row.state != Enrolment.State.APPROVED:
            raise Conflict(_("Nobody has approved this request."))
        concentrator = Concentrator.objects.select_for_update().get(pk=row.concentrator_id)
        if concentrator.archived_at is not None or concentrator.revoked_at is not None:
            raise Conflict(_("{name} is revoked and gets no certificate.").format(name=concentrator.name))
        certificate = _signed(vault, row, concentrator, now)
        Enrolment.objects.filter(pk=row.pk).update(state=Enrolment.State.ISSUED)
        Concentrator.objects.filter(pk=concentrator.pk).update(certificate_key=row.key)
        everything_changed(concentrator.pk)
        data = {"serial": certificate.serial, "until": certificate.not_after, "via": row.via, "key": row.key}
        record(found.organisation, EST, "certificate.issued", concentrator, data)
    return certificate


def run_issue(vault: Vault, asked: IssueFor) -> Issued:
    """The vault's operation."""
    return Issued(issue(vault, asked.enrolment, timezone.now()).pk)


def _signed(vault: Vault, row: Enrolment, concentrator: Concentrator, now: datetime) -> Certificate:
    authority = active_authority()
    if authority is None:
        raise NoAuthority(_("This portal has no issuing authority yet; run manage.py pki_init."))
    asked = request.checked(bytes(row.request), concentrator.eui)
    if asked.key != row.key:
        raise Conflict(_("The request and its key do not belong together."))
    until = min(now + timedelta(days=float(settings.PKI["days"])), ends(authority))
    if until <= now:
        raise NoAuthority(_("The issuing authority has ended; make its successor with manage.py pki_init --replace."))
    term = build.Term(signing.new_serial(), now - signing.BACKDATED, until)
    made = build.concentrator(signing.signer(vault, authority), concentrator.eui, asked.public, term)
    return Certificate.objects.create(
        organisation_id=row.organisation_id,
        concentrator=concentrator,
        authority=authority,
        enrolment=row,
        name=concentrator.eui,
        serial=f"{term.serial:x}",
        key=asked.key,
        der=made.public_bytes(Encoding.DER),
        not_before=term.not_before,
        not_after=term.not_after,
    )
