"""An issuing authority for tests, and certificates out of it without EST."""

from datetime import datetime
from pathlib import Path

from django.utils import timezone

from meterwire.curves import Curve
from provisioning.accounts.actors import System
from provisioning.fleet.models import Concentrator
from provisioning.keys.vault import Vault
from provisioning.pki import claims
from provisioning.pki.models import Authority, Certificate, Enrolment
from provisioning.pki.services import create_authority, issue_by_vault, issue_password, request_certificate
from tests.cast import STAGE
from tests.support.openssl import Device

INSTALLER = System("manage.py pki_init")


def authority(curve: Curve = Curve.P256, now: datetime | None = None) -> Authority:
    """The installation's first."""
    return create_authority(INSTALLER, Vault.from_settings(), name="Issuing", curve=curve, now=now or timezone.now())


def enrolled(concentrator: Concentrator, folder: Path, now: datetime | None = None) -> Certificate:
    """A certificate for a one-time password; key and certificate lie in `folder`."""
    return issue_by_vault(asked(concentrator, Device(folder, concentrator.eui).request(), now))


def asked(concentrator: Concentrator, der: bytes, now: datetime | None = None) -> Enrolment:
    """A request with a new one-time password."""
    now = now or timezone.now()
    password = issue_password(STAGE, concentrator).password
    return request_certificate(claims.by_password(concentrator.eui, password, "", now), der, None, now)
