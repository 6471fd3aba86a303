"""Bodies of EST: base64 with or without line breaks, whatever a transfer-encoding header says (RFC 8951, 3)."""

import base64
import binascii
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from django.http import HttpResponse

MAX_BODY: Final = 16_384
REQUEST_TYPE: Final = "application/pkcs10"
_CERTIFICATES: Final = "application/pkcs7-mime; smime-type=certs-only"
_ATTRIBUTES: Final = "application/csrattrs"
_BLANKS: Final = bytes.maketrans(b"", b""), b" \t\r\n"


def decoded(body: bytes) -> bytes:
    """The DER in a body. ValueError for anything but base64."""
    try:
        return base64.b64decode(body.translate(*_BLANKS), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def certificates(ders: list[bytes]) -> HttpResponse:
    """A certs-only answer (PKCS #7) with these certificates."""
    loaded = [x509.load_der_x509_certificate(der) for der in ders]
    return _base64(serialize_certificates(loaded, Encoding.DER), _CERTIFICATES)


def attributes(der: bytes) -> HttpResponse:
    """The answer to csrattrs."""
    return _base64(der, _ATTRIBUTES)


def told(status: int, message: str, **headers: str) -> HttpResponse:
    """A sentence for whoever reads the client's log; `headers` with underscores for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = HttpResponse(message + "\n", status=status, content_type="text/plain; charset=utf-8", headers=named)
    answer["Cache-Control"] = "no-store"
    return answer


def _base64(der: bytes, kind: str) -> HttpResponse:
    return HttpResponse(base64.encodebytes(der), content_type=kind, headers={"Cache-Control": "no-store"})
