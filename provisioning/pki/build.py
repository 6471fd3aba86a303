"""Certificates and lists of revoked ones as X.509 (RFC 5280); pure: keys, serials and times are arguments."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from provisioning.pki import names

SERIAL_BITS: Final = 159  # RFC 5280, 4.1.2.2: positive, at most 20 octets


@dataclass(frozen=True, slots=True)
class Signer:
    """An authority at work: its certificate, its private key, and where its list is published (empty: nowhere)."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    crl_url: str = ""


class Term(NamedTuple):
    """Serial number and validity of a certificate."""

    serial: int
    not_before: datetime
    not_after: datetime


class Revoked(NamedTuple):
    """One entry of a list; `reason` as RFC 5280 5.3.1 calls it, with underscores."""

    serial: int
    at: datetime
    reason: str


def authority(name: x509.Name, key: ec.EllipticCurvePrivateKey, term: Term) -> x509.Certificate:
    """The self-signed certificate of an issuing authority: signs certificates and lists, no further authorities."""
    return (
        blank(name, name, key.public_key(), term)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )


def concentrator(signer: Signer, eui: str, key: ec.EllipticCurvePublicKey, term: Term) -> x509.Certificate:
    """A concentrator's certificate: client of the broker and of EST, and the key that root keys are wrapped for."""
    builder = blank(names.subject(eui), signer.certificate.subject, key, term).add_extension(
        x509.SubjectAlternativeName(names.alternatives(eui)), critical=False
    )
    return end_entity(builder, signer, key, usage(signs=True, agrees=True), [ExtendedKeyUsageOID.CLIENT_AUTH])


def server(signer: Signer, hosts: Sequence[str], key: ec.EllipticCurvePublicKey, term: Term) -> x509.Certificate:
    """A certificate for the portal's or the broker's listener; `hosts` are names or addresses, the first its name."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    builder = blank(subject, signer.certificate.subject, key, term).add_extension(
        x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
    )
    return end_entity(builder, signer, key, usage(signs=True), [ExtendedKeyUsageOID.SERVER_AUTH])


def revocation_list(
    signer: Signer, entries: Iterable[Revoked], number: int, *, this_update: datetime, next_update: datetime
) -> x509.CertificateRevocationList:
    """The list of revoked certificates, with its number and the authority's key identifier."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(this_update)
        .next_update(next_update)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_issuer_key(signer.certificate), critical=False)
    )
    for entry in entries:
        builder = builder.add_revoked_certificate(_entry(entry))
    return builder.sign(signer.key, SHA256())


def blank(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, term: Term) -> x509.CertificateBuilder:
    """A certificate that says whose key it is and nothing of what for."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(term.serial)
        .not_valid_before(term.not_before)
        .not_valid_after(term.not_after)
    )


def end_entity(
    builder: x509.CertificateBuilder,
    signer: Signer,
    key: ec.EllipticCurvePublicKey,
    uses: x509.KeyUsage,
    purposes: Sequence[x509.ObjectIdentifier] = (),
) -> x509.Certificate:
    """Signs for one that is no authority."""
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(uses, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_issuer_key(signer.certificate), critical=False)
    )
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if signer.crl_url:
        place = x509.DistributionPoint([x509.UniformResourceIdentifier(signer.crl_url)], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([place]), critical=False)
    return builder.sign(signer.key, SHA256())


def usage(
    *,
    signs: bool = False,
    agrees: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    """What a key may be used for, and nothing else."""
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=agrees,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _entry(entry: Revoked) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(entry.serial).revocation_date(entry.at)
    if entry.reason != x509.ReasonFlags.unspecified.name:  # RFC 5280, 5.3.1: then the reason is left out
        builder = builder.add_extension(x509.CRLReason(x509.ReasonFlags[entry.reason]), critical=False)
    return builder.build()


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
