"""Manufacturers whose device certificates may ask for a first certificate."""

import ssl
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning import validation
from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.accounts.permissions import require
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.pki.errors import UNREADABLE
from provisioning.pki.models import ManufacturerAuthority

MAX_PEM: Final = 16_384
MAX_MANUFACTURERS: Final = 50


def trust_manufacturer(
    actor: Actor, organisation: Organisation, *, name: str, pem: str, needs_approval: bool = True
) -> ManufacturerAuthority:
    """Trust the authority that issues a manufacturer's device certificates; `pem` is its certificate."""
    require(actor, organisation, "pki.manage")
    name = validation.text("name", name, 120, required=True)
    certificate = _authority(pem)
    now = timezone.now()
    if certificate.not_valid_after_utc <= now:
        raise Invalid("pem", _("This certificate has ended; ask the manufacturer for the present one."))
    with audited(organisation):
        if (
            ManufacturerAuthority.objects.filter(organisation=organisation, removed_at=None).count()
            >= MAX_MANUFACTURERS
        ):
            raise Conflict(_("{limit} manufacturers are the most; remove one first.").format(limit=MAX_MANUFACTURERS))
        with validation.unique(_("This manufacturer's certificate is trusted already.")):
            row = ManufacturerAuthority.objects.create(
                organisation=organisation,
                name=name,
                certificate=certificate.public_bytes(Encoding.DER),
                fingerprint=certificate.fingerprint(SHA256()).hex(),
                needs_approval=needs_approval,
            )
        data = {"fingerprint": row.fingerprint, "needs_approval": needs_approval}
        record(organisation, actor, "manufacturer.trusted", row, data)
    return row


def distrust_manufacturer(actor: Actor, row: ManufacturerAuthority) -> None:
    """Let no more concentrators in on its word; certificates that were issued stay."""
    require(actor, row.organisation_id, "pki.manage")
    with audited(row.organisation):
        if not ManufacturerAuthority.objects.filter(pk=row.pk, removed_at=None).update(removed_at=timezone.now()):
            raise Conflict(_("This manufacturer was removed already."))
        record(row.organisation, actor, "manufacturer.removed", row)


def _authority(pem: str) -> x509.Certificate:
    try:
        if len(pem) > MAX_PEM:
            raise ValueError
        certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        # OpenSSL reads it with those of all others: one that it does not take would keep every listener from starting.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=certificate.public_bytes(Encoding.DER))
    except (*UNREADABLE, x509.ExtensionNotFound, ssl.SSLError):
        raise Invalid("pem", _("This is no certificate of an authority in PEM form.")) from None
    if not basic.ca:
        raise Invalid("pem", _("This is a device's certificate; the one of the authority that issued it is needed."))
    return certificate
