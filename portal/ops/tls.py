"""The listener for devices: EST over TLS that asks for client certificates and hands them to Django.

Showing one is optional, since a concentrator has none before its first enrolment. TLS proves that the peer holds the
key; whether the certificate is in force is looked up by `portal.est` with every question.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from provisioning.pki.queries import broker_trust, manufacturers_pem

SERVED: Final = ("/.well-known/est/", "/pki/", "/healthz")
IDLE_S: Final = 10
MAX_PEERS: Final = 100
Application = Callable[[Any, Any, Any], Awaitable[None]]


class TlsProtocol(H11Protocol):
    """HTTP/1.1 with `scope["extensions"]["tls"]["client_cert_der"]`: the certificate in DER, or None."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        der = tls.getpeercert(binary_form=True) if tls is not None else None
        app = self.app

        async def with_certificate(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})["tls"] = {"client_cert_der": der}
            await app(scope, receive, send)

        self.app = with_certificate


def context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer with that certificate. Whose certificates it takes is said with `trust`. OSError, SSLError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(certificate, key)
    made.verify_mode = ssl.CERT_OPTIONAL
    return made


def trust(listener: ssl.SSLContext) -> None:
    """Take certificates of all authorities and manufacturers that are trusted by now, also while it listens.

    One that is trusted no more is refused by the look-up, and forgotten here with the next start.
    """
    if pem := broker_trust()[0] + manufacturers_pem():
        listener.load_verify_locations(cadata=pem)


def server(app: Application, host: str, port: int, listener: ssl.SSLContext) -> uvicorn.Server:
    """Serves EST, lists of revoked certificates and /healthz of `app`, and nothing else of it."""
    config = uvicorn.Config(
        only(app, SERVED),
        host=host,
        port=port,
        http=TlsProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        limit_concurrency=MAX_PEERS,
        timeout_keep_alive=IDLE_S,
        ssl_context_factory=lambda _config, _default: listener,
    )
    return uvicorn.Server(config)


def only(app: Application, served: tuple[str, ...]) -> Application:
    """The part of `app` whose paths begin so; 404 for the rest."""

    async def part(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and str(scope["path"]).startswith(served):
            return await app(scope, receive, send)
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"Only EST is served here.\n"})
        return None

    return part
