"""An authority's private key: sealed by the vault and opened only in a process that holds one, or in a token."""

import secrets
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings

from meterwire.curves import ENTROPY_BYTES, Curve, PrivateKey
from provisioning.keys.holdings import Holding
from provisioning.keys.vault import Vault
from provisioning.pki.build import SERIAL_BITS, Signer
from provisioning.pki.curves import GROUPS
from provisioning.pki.hardware import TokenKey
from provisioning.pki.models import Authority

BACKDATED: Final = timedelta(minutes=5)  # clocks of brokers and devices are not exact


def new_key(curve: Curve) -> PrivateKey:
    """A new private key from the system's random source."""
    return PrivateKey.generate(curve, secrets.token_bytes(ENTROPY_BYTES))


def new_serial() -> int:
    """159 random bits, never zero."""
    return secrets.randbelow(2**SERIAL_BITS - 1) + 1


def loaded(key: PrivateKey) -> ec.EllipticCurvePrivateKey:
    """The same key for signing X.509."""
    return ec.derive_private_key(int.from_bytes(key.reveal()), GROUPS[key.curve])


def seal(vault: Vault, name: str, key: PrivateKey) -> bytes:
    """The sealed form of the key of the authority called `name`."""
    return vault.seal_secret(key.reveal(), _place(name))


def signer(vault: Vault, authority: Authority) -> Signer:
    """The authority at work. Raises KeyDamaged, NoAuthority, or what keeps the vault from its key-encryption key."""
    certificate = x509.load_der_x509_certificate(bytes(authority.certificate))
    key: ec.EllipticCurvePrivateKey
    if authority.token_label:
        public = certificate.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        key = TokenKey(authority.token_label, public)
    else:
        secret = vault.open_secret(bytes(authority.sealed), _place(authority.name))
        key = loaded(PrivateKey(Curve(authority.curve), secret))
    return Signer(certificate, key, crl_url(authority))


def crl_url(authority: Authority) -> str:
    """Where its list of revoked certificates is read without a login; empty: nowhere."""
    base = str(settings.PKI["crl_url"])
    return f"{base.rstrip('/')}/{authority.pk}.crl" if base else ""


def _place(name: str) -> bytes:
    return b"pki authority|" + name.encode()


HOLDING: Final = Holding(
    "certificate authorities",
    rows=lambda: Authority.objects.exclude(sealed=b""),
    column="sealed",
    place=lambda row: _place(row.name),
    organisation=lambda _row: None,
)
