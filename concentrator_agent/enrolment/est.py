"""A client for Enrolment over Secure Transport (RFC 7030, RFC 8951): cacerts, simpleenroll, simplereenroll."""

import base64
import http.client
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import pkcs7

from concentrator_agent.enrolment.chain import MAX_CERTIFICATES
from meterwire.errors import MeterspanError

TIMEOUT_S: Final = 30.0
MAX_ANSWER_BYTES: Final = 128 * 1024
MAX_SENTENCE: Final = 300
MIN_WAIT_S, MAX_WAIT_S = 5.0, 86_400.0  # what a Retry-After may ask for
WELL_KNOWN: Final = "/.well-known/est"


class EstError(MeterspanError):
    """The portal did not give a certificate. `wait_s`: so long it asks to wait; None: it says nothing."""

    def __init__(self, sentence: str, wait_s: float | None = None) -> None:
        super().__init__(sentence)
        self.wait_s = wait_s


class NotYet(EstError):
    """202: the request waits for somebody's approval; the same request is sent again later."""

    code = "pending"
    temporary = True


class CredentialRefused(EstError):
    """401: password or certificate are not accepted."""

    code = "credential_refused"


class RequestRefused(EstError):
    """400 or 403: this request gets no certificate, today or later."""

    code = "request_refused"


class Unavailable(EstError):
    """No answer, a server that cannot answer now, or one that is no EST server."""

    code = "unavailable"
    temporary = True


class Est:
    """One EST server at `url` (https); `password` authenticates `user` by HTTP Basic."""

    def __init__(self, url: str, tls: ssl.SSLContext, user: str = "", password: str = "") -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._path = parts.path.rstrip("/") or WELL_KNOWN
        self._tls = tls
        self._headers = {"Accept": "*/*", "User-Agent": "meterspan-concentrator"}
        if password:
            token = base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
            self._headers["Authorization"] = f"Basic {token}"

    def cacerts(self) -> list[x509.Certificate]:
        """The authorities' certificates. Raises EstError."""
        return self._certificates("GET", "/cacerts", None)

    def enrol(self, request: bytes, *, again: bool) -> list[x509.Certificate]:
        """What was issued for the PKCS #10 `request` (DER); `again`: a renewal. Raises EstError."""
        operation = "/simplereenroll" if again else "/simpleenroll"
        return self._certificates("POST", operation, base64.encodebytes(request))

    def _certificates(self, method: str, operation: str, body: bytes | None) -> list[x509.Certificate]:
        status, headers, answer = self._ask(method, self._path + operation, body)
        if status != 200:
            raise _error(status, headers, answer, f"{self._host}:{self._port}")
        try:
            certificates = pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer))
        except (ValueError, UnsupportedAlgorithm):
            raise Unavailable(f"{self._host} answered {operation} with what is no list of certificates") from None
        if not 1 <= len(certificates) <= MAX_CERTIFICATES:
            raise Unavailable(f"{self._host} answered {operation} with {len(certificates)} certificates")
        return certificates

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, http.client.HTTPMessage, bytes]:
        headers = dict(self._headers)
        if body is not None:
            headers |= {"Content-Type": "application/pkcs10", "Content-Transfer-Encoding": "base64"}
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT_S, context=self._tls)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER_BYTES + 1)
            if len(answer) > MAX_ANSWER_BYTES:
                raise Unavailable(f"{self._host} answered with more than {MAX_ANSWER_BYTES} bytes")
            return response.status, response.headers, answer
        except ssl.SSLCertVerificationError as error:
            raise Unavailable(
                f"the certificate of {self._host} is not trusted ({error.verify_message}): correct 'ca_file' or"
                " 'ca_fingerprint' in [enrolment], the name in 'est_url', or the clock"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            said = str(error) or type(error).__name__
            raise Unavailable(f"{self._host}:{self._port} does not answer ({said}); it will be tried again") from None
        finally:
            connection.close()


def _error(status: int, headers: http.client.HTTPMessage, answer: bytes, server: str) -> EstError:
    wait_s = retry_after(headers.get("Retry-After"), time.time())
    said = _sentence(headers, answer)
    if status == 202:
        return NotYet(f"{server} has the request, which waits for somebody's approval in the portal", wait_s)
    if status == 401:
        return CredentialRefused(f"{server} does not accept the credential (401){said}", wait_s)
    if status in (400, 403):
        return RequestRefused(f"{server} refuses the request ({status}){said}", wait_s)
    if status in (404, 405, 501):
        return Unavailable(f"{server} has no EST at this address ({status}){said}: correct 'est_url'", wait_s)
    return Unavailable(f"{server} cannot answer now ({status}){said}", wait_s)


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait by a Retry-After header (seconds, or a date); None without one that can be read."""
    if value is None:
        return None
    try:
        seconds = float(int(value)) if value.strip().isdigit() else parsedate_to_datetime(value).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, MIN_WAIT_S), MAX_WAIT_S)


def _sentence(headers: http.client.HTTPMessage, answer: bytes) -> str:
    """What the portal says, in one line of printable characters."""
    if headers.get_content_type() != "text/plain":
        return ""
    text = " ".join(answer[: MAX_SENTENCE * 4].decode(errors="replace").split())
    return ": " + "".join(c for c in text if c.isprintable())[:MAX_SENTENCE] if text else ""
