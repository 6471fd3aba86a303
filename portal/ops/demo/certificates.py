"""The demo's authority, its server certificate, and the one-time password with which the concentrator enrols."""

from datetime import timedelta
from pathlib import Path

from cryptography import x509
from django.core.management import call_command
from django.utils import timezone

from portal.ops.demo.house import CONCENTRATOR_EUI
from portal.ops.demo.seed import ACTOR, write_secret
from provisioning.fleet.models import Concentrator
from provisioning.pki.services import issue_password

RENEWED_BEFORE = timedelta(days=60)


def prepare(pki: Path, agents: Path) -> None:
    """Whatever is missing or ends soon, made as an operator would."""
    if not _holds(pki / "server.pem"):
        call_command("pki_init", "--server-name", "localhost", "--out", pki, verbosity=0)
    concentrator = Concentrator.objects.get(eui=CONCENTRATOR_EUI, archived_at=None)
    in_force = concentrator.certificates.filter(revoked_at=None, not_after__gt=timezone.now())
    if concentrator.revoked_at is None and not in_force.exists():
        write_secret(agents / "enrolment.password", issue_password(ACTOR, concentrator).password.encode())


def _holds(certificate: Path) -> bool:
    try:
        ends = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except OSError:
        return False
    return ends > timezone.now() + RENEWED_BEFORE
