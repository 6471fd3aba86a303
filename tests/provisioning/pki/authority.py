"""An issuing authority for tests, and certificates out of it without EST."""

from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from django.utils import timezone

from meterwire.curves import Curve
from provisioning.accounts.actors import System
from provisioning.fleet.models import Concentrator
from provisioning.keys.vault import Vault
from provisioning.pki import claims, names, sm_pki
from provisioning.pki.models import Authority, Certificate, Enrolment
from provisioning.pki.services import create_authority, issue_by_vault, issue_password, request_certificate
from provisioning.pki.signing import new_serial
from tests.cast import STAGE
from tests.support.openssl import Device

INSTALLER = System("manage.py pki_init")


def authority(curve: Curve = Curve.P256, now: datetime | None = None) -> Authority:
    """The installation's first."""
    return create_authority(INSTALLER, Vault.from_settings(), name="Issuing", curve=curve, now=now or timezone.now())


def enrolled(concentrator: Concentrator, folder: Path, now: datetime | None = None) -> Certificate:
    """A certificate for a one-time password; key and request come from openssl, the key lies in `folder`."""
    return issue_by_vault(asked(concentrator, Device(folder, concentrator.eui).request(), now))


def asked(
    concentrator: Concentrator, der: bytes, now: datetime | None = None, *, needs_approval: bool = False
) -> Enrolment:
    """A request with a new one-time password."""
    now = now or timezone.now()
    password = issue_password(STAGE, concentrator, needs_approval=needs_approval).password
    return request_certificate(claims.by_password(concentrator.eui, password, "", now), der, None, now)


def request(eui: str) -> bytes:
    """A request (DER) for a new key that nobody keeps."""
    key = ec.generate_private_key(ec.SECP256R1())
    return x509.CertificateSigningRequestBuilder(names.subject(eui)).sign(key, SHA256()).public_bytes(Encoding.DER)


def some_authority() -> str:
    """A certificate (PEM) of an authority elsewhere."""
    root = sm_pki.made("Maker", timezone.now(), new_serial)[0]
    return root.certificate.public_bytes(Encoding.PEM).decode()
