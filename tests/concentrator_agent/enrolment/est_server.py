"""A small EST server over real TLS, whose answers a test decides."""

import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from cryptography.x509.oid import NameOID

from tests.support.certificates import HOUR, Authority


@dataclass
class Asked:
    """One request as it arrived."""

    operation: str
    request: bytes
    authorization: str
    shown: bytes | None


@dataclass
class EstServer:
    """Issues for every good request with `password`; `answers` are given first: (status, headers, body)."""

    authority: Authority
    url: str = ""
    password: str = "once"
    life: timedelta = 90 * 24 * HOUR
    begins: datetime | None = None
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    also: list[x509.Certificate] = field(default_factory=list)
    lose_answers: int = 0

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        if asked.operation == "cacerts":
            return self._certificates(self.authority.certificate, *self.also)
        self.asked.append(asked)
        if self.answers:
            return self.answers.pop(0)
        if asked.operation == "simpleenroll" and not asked.shown:
            wanted = "Basic " + base64.b64encode(f"{self._name(asked)}:{self.password}".encode()).decode()
            if asked.authorization != wanted:
                return 401, {"Content-Type": "text/plain"}, b"The password is wrong.\n"
        request = x509.load_der_x509_csr(asked.request)
        key = request.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert request.is_signature_valid
        begins = self.begins or datetime.now(UTC) - timedelta(minutes=5)
        return self._certificates(self.authority.issue(self._name(asked), key, begins=begins, life=self.life))

    def _name(self, asked: Asked) -> str:
        request = x509.load_der_x509_csr(asked.request)
        return str(request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)

    def _certificates(self, *certificates: x509.Certificate) -> tuple[int, dict[str, str], bytes]:
        body = base64.encodebytes(serialize_certificates(list(certificates), Encoding.DER))
        return 200, {"Content-Type": "application/pkcs7-mime; smime-type=certs-only"}, body


@contextmanager
def est_server(
    folder: Path, authority: Authority | None = None, certificate: tuple[Path, Path] | None = None
) -> Iterator[EstServer]:
    """On a free loopback port, with a server certificate of the authority itself or the given files."""
    authority = authority or Authority()
    est = EstServer(authority)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._do(b"")

        def do_POST(self) -> None:
            self._do(base64.b64decode(self.rfile.read(int(self.headers["Content-Length"]))))

        def _do(self, request: bytes) -> None:
            assert isinstance(self.connection, ssl.SSLSocket)
            shown = self.connection.getpeercert(binary_form=True)
            operation = self.path.rpartition("/")[2]
            status, headers, body = est.answer(
                Asked(operation, request, self.headers.get("Authorization", ""), shown or None)
            )
            if est.lose_answers and operation != "cacerts":
                est.lose_answers -= 1
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_cert_chain(*(certificate or authority.write_server(folder)))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    est.url = f"https://localhost:{server.server_port}/.well-known/est"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield est
    finally:
        server.shutdown()
        server.server_close()
