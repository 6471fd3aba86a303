"""`manage.py run_vault`: opens owner tokens for this machine's web workers until SIGTERM or SIGINT."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser

from meterwire.errors import MeterspanError
from provisioning.keys.vault import Vault
from provisioning.keys.vault_server import VaultServer


class Command(BaseCommand):
    help = "Run the vault process; needs MSPAN_KEK_FILE and MSPAN_VAULT_SOCKET."
    requires_system_checks = [Tags.security]  # it serves no pages and need not load them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--allow-uid", type=int, action="append", default=[], help="another user that may ask; may be repeated"
        )

    def handle(self, *, allow_uid: list[int], **_: Any) -> None:
        if not settings.VAULT_SOCKET:
            raise CommandError("Set MSPAN_VAULT_SOCKET to the path at which the vault is to listen.")
        path = Path(settings.VAULT_SOCKET)
        try:
            server = VaultServer(path, Vault.from_settings(), {os.geteuid(), *allow_uid})
        except (MeterspanError, OSError) as error:
            raise CommandError(f"The vault cannot listen at {path}: {error}") from error
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        self.stdout.write(f"the vault listens at {path}")
        self.stdout.flush()
        try:
            server.serve_forever(poll_interval=0.5)
        finally:
            server.server_close()
            path.unlink(missing_ok=True)
