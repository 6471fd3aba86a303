"""Hands Django the client's certificate where uvicorn ends TLS by itself.

    uvicorn portal.asgi:application --http portal.ops.tls:TlsProtocol --ssl-cert-reqs 1
        --ssl-certfile server.pem --ssl-keyfile server.key --ssl-ca-certs est-clients.pem

Certificates are optional (1): a concentrator has none before its first enrolment. Uvicorn checks no list of revoked
ones; portal.est looks every certificate up.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


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
