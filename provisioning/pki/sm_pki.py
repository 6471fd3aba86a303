"""A test PKI in the shape of the SM-PKI (BSI TR-03109-4): root, sub, and an external market participant (EMT).

The participant holds three pairs: TLS, signature, encryption. All keys are on brainpoolP256r1, end entities hold for
two years, each authority has its list of revoked certificates, and every subject says TEST: nothing of it is to be
trusted by anybody.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provisioning.pki.build import Signer, Term, blank, end_entity, revocation_list, usage

ROOT_LIFE, SUB_LIFE, END_LIFE = timedelta(days=8 * 365), timedelta(days=5 * 365), timedelta(days=2 * 365)
LIST_LIFE: Final = timedelta(days=30)
_ORGANISATION: Final = "TEST SM-PKI"


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate with its key; `crl` where it is an authority's."""

    name: str
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    crl: x509.CertificateRevocationList | None = None


def made(participant: str, now: datetime, serial: Callable[[], int]) -> list[Issued]:
    """Root, sub, and the participant's emt-tls, emt-sign, emt-enc, in this order, with fresh keys."""
    root = _authority("root", "TEST Root-CA", None, Term(serial(), now, now + ROOT_LIFE))
    sub = _authority("sub", "TEST Sub-CA", root, Term(serial(), now, now + SUB_LIFE))
    both = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    kinds = [
        ("emt-tls", "EMT.TLS", usage(signs=True), both),
        ("emt-sign", "EMT.SIG", usage(signs=True), []),
        ("emt-enc", "EMT.ENC", usage(agrees=True), []),
    ]
    ends = []
    for name, role, uses, purposes in kinds:
        key = ec.generate_private_key(ec.BrainpoolP256R1())
        subject = _name(f"TEST {participant}.{role}")
        term = Term(serial(), now, now + END_LIFE)
        builder = blank(subject, sub.certificate.subject, key.public_key(), term)
        signer = Signer(sub.certificate, sub.key)
        ends.append(Issued(name, end_entity(builder, signer, key.public_key(), uses, purposes), key))
    return [root, sub, *ends]


def _authority(name: str, title: str, issuer: Issued | None, term: Term) -> Issued:
    key = ec.generate_private_key(ec.BrainpoolP256R1())
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    above = issuer.certificate.subject if issuer is not None else _name(title)
    builder = (
        blank(_name(title), above, key.public_key(), term)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1 if issuer is None else 0), critical=True)
        .add_extension(usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(own, critical=False)
    )
    if issuer is not None:
        identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
    certificate = builder.sign(key if issuer is None else issuer.key, SHA256())
    since = term.not_before
    crl = revocation_list(Signer(certificate, key), [], 1, this_update=since, next_update=since + LIST_LIFE)
    return Issued(name, certificate, key, crl)


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )
