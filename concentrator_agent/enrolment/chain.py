"""Checks what came as a certificate: it is for our key and name, may authenticate a client, and is the authority's."""

from collections.abc import Iterable, Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from concentrator_agent.enrolment.wallet import Held
from meterwire.errors import MeterspanError

MAX_CERTIFICATES: Final = 8


class CertificateRefused(MeterspanError):
    """What the portal sent is no certificate for this concentrator."""

    code = "certificate_refused"


def own_first(
    held: Held, eui: str, came: Sequence[x509.Certificate], authorities: Iterable[x509.Certificate]
) -> list[x509.Certificate]:
    """Our certificate in `came`, then its issuers without the root. Raises CertificateRefused."""
    try:
        return _own_first(held, eui, came, authorities)
    except (ValueError, UnsupportedAlgorithm):  # parts of a certificate are only looked at when asked for
        raise CertificateRefused("the portal answered with a certificate that cannot be read") from None


def _own_first(
    held: Held, eui: str, came: Sequence[x509.Certificate], authorities: Iterable[x509.Certificate]
) -> list[x509.Certificate]:
    own = next((one for one in came if _key(one) == _own_key(held)), None)
    if own is None:
        raise CertificateRefused("the portal answered with certificates for other keys than ours")
    names = [str(name.value) for name in own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [eui]:
        raise CertificateRefused(f"the certificate is for {', '.join(names)[:80] or 'nobody'}, not for {eui}")
    try:
        usage = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise CertificateRefused("the certificate does not authenticate a client")
    return _up_to_a_root(own, [*came, *authorities], {_der(one) for one in authorities if _self_issued(one)})


def _up_to_a_root(
    own: x509.Certificate, known: Sequence[x509.Certificate], roots: set[bytes]
) -> list[x509.Certificate]:
    chain = [own]
    while len(chain) <= MAX_CERTIFICATES:
        issuer = next((one for one in known if _issued(chain[-1], one)), None)
        if issuer is None:
            break
        if _der(issuer) in roots:
            return chain
        chain.append(issuer)
    raise CertificateRefused("the certificate was not issued by the portal's authority")


def _issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    if certificate == by:
        return False
    try:
        certificate.verify_directly_issued_by(by)
        return by.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False


def _self_issued(certificate: x509.Certificate) -> bool:
    return certificate.issuer == certificate.subject


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _key(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _own_key(held: Held) -> bytes:
    key = load_der_private_key(held.key, None)
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
