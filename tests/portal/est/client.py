"""A client of EST that speaks to Django directly; a proxy's header stands for the TLS handshake."""

import base64
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates
from django.test import Client

EST = "/.well-known/est"
HEADER = "X-SSL-Client-Cert"


def fetch(operation: str, **more: Any) -> Any:
    return Client().get(f"{EST}/{operation}", secure=True, **more)


def enrol(der: bytes, operation: str = "simpleenroll", headers: dict[str, str] | None = None, **more: Any) -> Any:
    """`body` and `content_type` as a client of another opinion would send them."""
    more.setdefault("content_type", "application/pkcs10")
    body = more.pop("body", base64.b64encode(der))
    return Client(headers=headers or {}).post(f"{EST}/{operation}", body, **{"secure": True, **more})


def basic(name: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def shown(der: bytes) -> dict[str, str]:
    """What a trusted proxy hands on after the handshake."""
    return {HEADER: quote(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode())}


def certificates(answer: Any) -> list[x509.Certificate]:
    """Those in a certs-only answer."""
    assert answer.status_code == 200, answer.content
    return load_der_pkcs7_certificates(base64.b64decode(answer.content))
