"""`manage.py run_est`: the TLS listener at which concentrators enrol, until SIGTERM or SIGINT."""

import logging
import ssl
import threading
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection

from portal.ops import tls

logger = logging.getLogger(__name__)

TRUST_EVERY_S: Final = 30.0


class Command(BaseCommand):
    help = "Serve EST over TLS with client certificates; pki_init --server-name makes the server's certificate."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="0.0.0.0")  # noqa: S104  # devices come from elsewhere
        parser.add_argument("--port", type=int, default=8085)
        parser.add_argument("--certificate", type=Path, required=True, help="of this server, with its chain (PEM)")
        parser.add_argument("--key", type=Path, required=True, help="its private key (PEM)")

    def handle(self, *, host: str, port: int, certificate: Path, key: Path, **_: Any) -> None:
        from portal.asgi import application

        if settings.EST_CERTIFICATE_HEADER:
            raise CommandError(
                "MSPAN_EST_CERTIFICATE_HEADER is for web workers behind a proxy; this listener ends TLS by itself."
                " Start it without."
            )
        try:
            listener = tls.context(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise CommandError(f"{certificate} and {key} cannot be used: {error}") from error
        tls.trust(listener)
        ending = threading.Event()
        threading.Thread(target=_keep_trusting, args=(listener, ending), daemon=True).start()
        self.stdout.write(f"EST at https://{host}:{port}/.well-known/est/")
        self.stdout.flush()
        try:
            tls.server(application, host, port, listener).run()
        finally:
            ending.set()


def _keep_trusting(listener: ssl.SSLContext, ending: threading.Event) -> None:
    while not ending.wait(TRUST_EVERY_S):
        try:
            tls.trust(listener)
        except DatabaseError as error:
            logger.warning("whom to trust cannot be read: %s", type(error).__name__)
        finally:
            connection.close()
