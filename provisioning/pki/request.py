"""A request for a certificate (PKCS #10, RFC 2986), and all that is demanded of it before anything is signed."""

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from django.utils.translation import gettext as _

from meterwire.curves import Curve
from provisioning.pki import names
from provisioning.pki.curves import curve_of, octets
from provisioning.pki.errors import UNREADABLE, RequestRefused

MAX_REQUEST: Final = 8_192  # bytes of DER; a request with every extension that is allowed has about 400
MAX_NAMES: Final = 4
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_EXTENSIONS: Final = {
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.KEY_USAGE,
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was found good: its public key (and the same in 33 octets, hex)."""

    der: bytes
    public: ec.EllipticCurvePublicKey
    key: str


def checked(der: bytes, eui: str) -> Request:
    """The request of the concentrator `eui`. Raises RequestRefused with one of the faults size, form, curve, signature,
    subject, extension, alternative_name, key_usage."""
    if len(der) > MAX_REQUEST:
        raise RequestRefused(
            "size",
            _("The request has {size} bytes; one of a concentrator has at most {limit}.").format(
                size=len(der), limit=MAX_REQUEST
            ),
        )
    try:
        request = x509.load_der_x509_csr(der)
        public = request.public_key()
        extensions = request.extensions
        subject = request.subject
    except UNREADABLE:
        raise RequestRefused("form", _("This is no PKCS #10 request in DER; make it anew.")) from None
    if curve_of(public) is None:
        allowed = ", ".join((Curve.P256, Curve.BRAINPOOL))
        raise RequestRefused(
            "curve", _("The key must be an EC key on one of the curves {curves}.").format(curves=allowed)
        )
    assert isinstance(public, ec.EllipticCurvePublicKey)
    _signed_by_its_key(request)
    if subject != names.subject(eui):
        raise RequestRefused(
            "subject",
            _("The subject must be CN={eui} and nothing else: the name it is registered under.").format(eui=eui),
        )
    _modest(extensions, eui)
    return Request(der, public, octets(public).hex())


def _signed_by_its_key(request: x509.CertificateSigningRequest) -> None:
    try:
        strong = isinstance(request.signature_hash_algorithm, _HASHES)
    except UnsupportedAlgorithm:
        strong = False
    if not strong:
        raise RequestRefused("signature", _("The request is signed with a weak hash; sign it with SHA-256."))
    try:
        proven = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm):
        proven = False
    if not proven:
        raise RequestRefused(
            "signature", _("The request is not signed by its own key, so it proves no possession of it.")
        )


def _modest(extensions: x509.Extensions, eui: str) -> None:
    for extension in extensions:
        if extension.oid not in _EXTENSIONS:
            raise RequestRefused(
                "extension",
                _("The extension {oid} is not given out; leave it away.").format(oid=extension.oid.dotted_string[:60]),
            )
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            _own_names(value, eui)
        elif isinstance(value, x509.ExtendedKeyUsage):
            if list(value) != [ExtendedKeyUsageOID.CLIENT_AUTH]:
                raise RequestRefused("key_usage", _("The extended key usage can only be clientAuth."))
        elif isinstance(value, x509.KeyUsage) and (
            value.key_cert_sign or value.crl_sign or value.content_commitment or value.data_encipherment
        ):
            raise RequestRefused("key_usage", _("The key usage can only be digitalSignature and keyAgreement."))


def _own_names(asked: x509.SubjectAlternativeName, eui: str) -> None:
    own = names.alternatives(eui)
    if len(asked) > MAX_NAMES or any(name not in own for name in asked):
        raise RequestRefused(
            "alternative_name",
            _("Alternative names can only be DNS:{eui} and URI:urn:dev:mac:{eui}; leave others away.").format(eui=eui),
        )
