"""The certificate that a client proved in TLS: from this server's own, or from a proxy that is said to be trusted."""

from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.http import HttpRequest

from provisioning.pki.errors import UNREADABLE, NotRecognised

MAX_HEADER = 16_384


def client_certificate(request: HttpRequest) -> bytes | None:
    """Its DER; None when the client showed none. NotRecognised for a header that cannot be read.

    Only one of the two sources counts: where a proxy ends TLS, this server sees no client's handshake, and where it
    does, a header is what anybody can write.
    """
    header = settings.EST_CERTIFICATE_HEADER
    if header:
        return _from_header(request.headers.get(header, ""))
    scope = getattr(request, "scope", {})
    der = scope.get("extensions", {}).get("tls", {}).get("client_cert_der")
    return der if isinstance(der, bytes) else None


def _from_header(value: str) -> bytes | None:
    if not value:
        return None
    try:
        if len(value) > MAX_HEADER:
            raise ValueError
        certificate = x509.load_pem_x509_certificate(unquote(value).encode("ascii"))
    except UNREADABLE:
        raise NotRecognised("The proxy handed on a client certificate that cannot be read.") from None
    return certificate.public_bytes(Encoding.DER)
