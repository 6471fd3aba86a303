"""Who asks for a certificate: recognised by a one-time password, by its own certificate, or by its manufacturer's."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from django.db.models import F
from django.utils.translation import gettext as _

from provisioning.accounts.actors import System
from provisioning.audit.services import audited, record
from provisioning.fleet.models import Concentrator
from provisioning.pki import names, passwords
from provisioning.pki.errors import UNREADABLE, NotEntitled, NotRecognised
from provisioning.pki.models import Certificate, ManufacturerAuthority, OneTimePassword, Via
from provisioning.pki.passwords import MAX_WRONG

EST: Final = System("EST")
MAX_CERTIFICATE: Final = 8_192
_EUI: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Claim:
    """A concentrator that proved who it is. `credential` names what it proved it with."""

    concentrator: Concentrator
    via: Via
    credential: str
    needs_approval: bool = False
    certificate: Certificate | None = None
    password: OneTimePassword | None = None


def by_password(eui: str, password: str, label: str, now: datetime) -> Claim:
    """Raises NotRecognised in the same words, whatever is wrong, and after the same computation for unknown names.

    Counts wrong tries: after MAX_WRONG the password is blocked. `label`: the organisation's slug, or empty.
    """
    eui = eui.lower()
    row = None
    if _EUI.fullmatch(eui):
        rows = OneTimePassword.objects.select_related("concentrator__organisation")
        row = rows.filter(concentrator__eui=eui, concentrator__archived_at=None, withdrawn_at=None).first()
    good = passwords.fits(eui, password, row.digest if row else None, row.pepper if row else passwords.current_pepper())
    if row is not None and not good:
        _count_wrong(row)
    if row is None or not good or not _serves(row, label, now):
        raise NotRecognised(
            _("Name or password is wrong, or the password is used up, over or blocked; get a new one from the portal.")
        )
    return Claim(row.concentrator, Via.PASSWORD, f"password {row.pk}", row.needs_approval, password=row)


def by_certificate(der: bytes, label: str, now: datetime) -> Claim:
    """The concentrator whose own certificate this is: looked up by serial, compared as a whole, in force.

    The caller's TLS has proved that the peer holds its key. Raises NotRecognised or NotEntitled.
    """
    shown = _loaded(der)
    rows = Certificate.objects.select_related("concentrator__organisation", "authority")
    row = rows.filter(serial=f"{shown.serial_number:x}", concentrator__isnull=False).first()
    if row is None or bytes(row.der) != der or row.authority.retired_at is not None:
        raise NotRecognised(_("This certificate was not issued here; enrol with a one-time password from the portal."))
    concentrator = row.concentrator
    assert concentrator is not None
    if row.revoked_at is not None or concentrator.revoked_at is not None or concentrator.archived_at is not None:
        raise NotEntitled("revoked", _("This certificate is revoked; ask the operator whether it may enrol again."))
    if not row.not_before <= now < row.not_after:
        raise NotEntitled(
            "expired",
            _("This certificate ended on {end} and renews nothing; enrol with a one-time password.").format(
                end=f"{row.not_after:%Y-%m-%d %H:%M} UTC"
            ),
        )
    if label not in ("", concentrator.organisation.slug):
        raise NotEntitled("label", _("This concentrator belongs to another organisation than the address names."))
    return Claim(concentrator, Via.RENEWAL, row.serial, certificate=row)


def by_manufacturer(der: bytes, label: str, now: datetime) -> Claim:
    """The registered concentrator that a certificate of a trusted manufacturer names. Raises NotRecognised."""
    shown = _loaded(der)
    try:
        euis = names.euis_in(shown)
    except UNREADABLE:
        euis = frozenset()
    rows = Concentrator.objects.filter(eui__in=euis, archived_at=None, revoked_at=None)
    for concentrator in rows.select_related("organisation"):
        if label not in ("", concentrator.organisation.slug):
            continue
        for maker in ManufacturerAuthority.objects.filter(organisation=concentrator.organisation, removed_at=None):
            if _issued(maker, shown, now):
                # Device certificates hold for decades: one that has a successor here is nobody's word alone.
                known = Certificate.objects.filter(name=concentrator.eui).exists()
                credential = f"manufacturer {maker.pk}"
                return Claim(concentrator, Via.MANUFACTURER, credential, maker.needs_approval or known)
    raise NotRecognised(
        _(
            "This certificate is neither of this portal nor of a trusted manufacturer naming a registered concentrator;"
            " register it and its manufacturer first."
        )
    )


def _loaded(der: bytes) -> x509.Certificate:
    try:
        if len(der) > MAX_CERTIFICATE:
            raise ValueError
        return x509.load_der_x509_certificate(der)
    except UNREADABLE:
        raise NotRecognised(_("The client certificate cannot be read.")) from None


def _serves(row: OneTimePassword, label: str, now: datetime) -> bool:
    if row.concentrator.revoked_at is not None or row.wrong_tries >= MAX_WRONG:
        return False
    # Used: its key may come back for the answer, which can be waiting for approval, or may have been lost.
    in_time = bool(row.key) or now < row.expires_at
    return in_time and label in ("", row.concentrator.organisation.slug)


def _count_wrong(row: OneTimePassword) -> None:
    with audited(row.concentrator.organisation):
        rows = OneTimePassword.objects.filter(pk=row.pk, wrong_tries__lt=MAX_WRONG)
        if rows.update(wrong_tries=F("wrong_tries") + 1):
            tries = OneTimePassword.objects.values_list("wrong_tries", flat=True).get(pk=row.pk)
            data = {"tries": tries, "blocked": tries >= MAX_WRONG}
            record(row.concentrator.organisation, EST, "enrolment.wrong_password", row.concentrator, data)


def _issued(maker: ManufacturerAuthority, shown: x509.Certificate, now: datetime) -> bool:
    authority = x509.load_der_x509_certificate(bytes(maker.certificate))
    try:
        shown.verify_directly_issued_by(authority)
    except (*UNREADABLE, InvalidSignature):
        return False
    return all(one.not_valid_before_utc <= now <= one.not_valid_after_utc for one in (authority, shown))
