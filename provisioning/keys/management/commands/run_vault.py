"""`manage.py run_vault`: opens, wraps and takes in for this machine's web workers until SIGTERM or SIGINT."""

import argparse
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection

from meterwire.errors import MeterspanError
from provisioning.keys.memory import guard
from provisioning.keys.services import take_in
from provisioning.keys.vault import Vault
from provisioning.keys.vault_server import VaultServer

TAKE_IN_EVERY_S: Final = 10.0

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Run the vault process; needs the key-encryption key and MSPAN_VAULT_SOCKET."
    requires_system_checks = [Tags.security]  # it serves no pages and need not load them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--allow-uid",
            type=_allowed,
            action="append",
            default=[],
            metavar="UID[:OPERATION,...]",
            help="another user that may ask, for everything or for these operations only; may be repeated",
        )

    def handle(self, *, allow_uid: list[tuple[int, tuple[str, ...]]], **_: Any) -> None:
        if not settings.VAULT_SOCKET:
            raise CommandError("Set MSPAN_VAULT_SOCKET to the path at which the vault is to listen.")
        path = Path(settings.VAULT_SOCKET)
        only = {uid: operations for uid, operations in allow_uid if operations}
        try:
            locked = guard()
            vault = Vault.from_settings()
            server = VaultServer(path, vault, {os.geteuid(), *(uid for uid, _only in allow_uid)}, only=only)
        except (MeterspanError, OSError) as error:
            raise CommandError(f"The vault cannot listen at {path}: {error}") from error
        ending = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        threading.Thread(target=_take_in, args=(vault, ending), daemon=True).start()
        self.stdout.write(f"the vault listens at {path}" + (", its memory is locked" if locked else ""))
        self.stdout.flush()
        try:
            server.serve_forever(poll_interval=0.05)
        finally:
            ending.set()
            server.server_close()
            path.unlink(missing_ok=True)


def _allowed(text: str) -> tuple[int, tuple[str, ...]]:
    uid, _colon, operations = text.partition(":")
    if not uid.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} does not begin with a user's number, such as 33")
    return int(uid), tuple(name for name in operations.split(",") if name)


def _take_in(vault: Vault, ending: threading.Event) -> None:
    """Keys that web workers handed in; the bridge does the same, and whoever comes first has done it."""
    while not ending.wait(TAKE_IN_EVERY_S):
        try:
            take_in(vault)
        except (DatabaseError, MeterspanError) as error:
            logger.warning("handed-in keys could not be taken in: %s", error)
        finally:
            connection.close()
