"""What is known of certificates: for pages, for the EST server, and for the broker's files."""

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.accounts.permissions import may
from provisioning.fleet.access import within_reach
from provisioning.pki.models import Authority, Certificate, Enrolment, ManufacturerAuthority, RevocationList


def broker_trust() -> tuple[str, str]:
    """(certificates of the trusted authorities, their lists of revoked certificates), PEM; empty without authority.

    A broker that checks a list refuses everybody of an authority whose list is missing or over.
    """
    certificates, lists = [], []
    for authority in trusted_authorities():
        certificates.append(pem(authority))
        if (latest := latest_list(authority)) is not None:
            lists.append(x509.load_der_x509_crl(bytes(latest.der)).public_bytes(Encoding.PEM).decode("ascii"))
    return "".join(certificates), "".join(lists)


def revoked_names() -> frozenset[str]:
    """EUIs under which nobody may be connected by certificate: they had one that was revoked, and have no valid one."""
    now = timezone.now()
    valid = Certificate.objects.filter(name=OuterRef("name"), revoked_at=None, not_after__gt=now)
    rows = Certificate.objects.filter(concentrator__isnull=False, revoked_at__isnull=False, not_after__gt=now)
    return frozenset(rows.filter(~Exists(valid)).order_by().values_list("name", flat=True).distinct())


def revoked_since(moment: datetime) -> list[tuple[str, datetime]]:
    """(EUI, when) of every certificate revoked after `moment`, in order: whose sessions to end once."""
    rows = Certificate.objects.filter(concentrator__isnull=False, revoked_at__gt=moment).order_by("revoked_at")
    return [(name, at) for name, at in rows.values_list("name", "revoked_at") if at is not None]


def trusted_authorities() -> QuerySet[Authority]:
    """The active authority first, then older ones whose certificates may still be in use."""
    return Authority.objects.filter(retired_at=None)


def active_authority() -> Authority | None:
    """The one that signs new certificates; None: `manage.py pki_init` was not run yet."""
    return Authority.objects.filter(active=True).first()


def latest_list(authority: Authority) -> RevocationList | None:
    """Its list of revoked certificates in force; None: none was ever signed."""
    return RevocationList.objects.filter(authority=authority).order_by("-number").first()


def pem(authority: Authority) -> str:
    """Its certificate."""
    return x509.load_der_x509_certificate(bytes(authority.certificate)).public_bytes(Encoding.PEM).decode("ascii")


def manufacturers_pem() -> str:
    """The certificates of all trusted manufacturers, for the TLS listener that asks devices for theirs."""
    rows = ManufacturerAuthority.objects.filter(removed_at=None).order_by("pk")
    loaded = (x509.load_der_x509_certificate(bytes(row.certificate)) for row in rows)
    return "".join(certificate.public_bytes(Encoding.PEM).decode("ascii") for certificate in loaded)


def visible_certificates(actor: Actor, organisation: Organisation | None = None) -> QuerySet[Certificate]:
    """Certificates of concentrators that `actor` may see, the newest first."""
    rows = Certificate.objects.filter(concentrator__isnull=False).select_related("concentrator", "enrolment")
    return within_reach(rows, actor, organisation, "pki.view", "concentrator__site_id")


def waiting_enrolments(actor: Actor, organisation: Organisation | None = None) -> QuerySet[Enrolment]:
    """Requests that wait for somebody's approval."""
    rows = Enrolment.objects.filter(state=Enrolment.State.WAITING).select_related("concentrator")
    return within_reach(rows, actor, organisation, "pki.view", "concentrator__site_id")


def manufacturers(actor: Actor, organisation: Organisation) -> QuerySet[ManufacturerAuthority]:
    """The manufacturers that `organisation` trusts; they belong to no site."""
    rows = ManufacturerAuthority.objects.filter(organisation=organisation, removed_at=None)
    return rows if may(actor, organisation, "pki.view") else rows.none()
