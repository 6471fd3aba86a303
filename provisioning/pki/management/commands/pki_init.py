"""`manage.py pki_init`: the issuing authority, and certificates for the broker's and the EST listener."""

import os
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from meterwire.curves import Curve
from meterwire.errors import MeterspanError
from provisioning.accounts.actors import System
from provisioning.keys.vault import Vault
from provisioning.pki import signing
from provisioning.pki.files import write_trust
from provisioning.pki.queries import active_authority
from provisioning.pki.services import create_authority, fingerprint, issue_server_certificate

ACTOR = System("manage.py pki_init")


class Command(BaseCommand):
    help = (
        "Make the issuing authority of this installation, and a certificate for a server of it. Needs the vault's key."
    )
    requires_system_checks = [Tags.security]  # it shows no pages and need not load them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", default="Meterspan issuing CA", help="name of the authority")
        curves = [Curve.P256, Curve.BRAINPOOL]
        parser.add_argument("--curve", choices=curves, default=Curve.P256, help="of the authority and its servers")
        parser.add_argument("--token", action="store_true", help="make its key in the PKCS#11 token (MSPAN_PKCS11_*)")
        parser.add_argument("--replace", action="store_true", help="make the successor of the present authority")
        parser.add_argument(
            "--server-name", action="append", default=[], help="host or address of a listener; may be repeated"
        )
        parser.add_argument(
            "--out",
            type=Path,
            help="folder for ca.pem, crl.pem, est-clients.pem and, with --server-name, server.pem/.key",
        )

    def handle(
        self, *, name: str, curve: str, replace: bool, token: bool, server_name: list[str], out: Path | None, **_: Any
    ) -> None:
        if server_name and out is None:
            raise CommandError("Say with --out where the server's certificate and key are to go.")
        try:
            vault, now = Vault.from_settings(), timezone.now()
            authority = active_authority()
            if authority is None or replace:
                made = create_authority(
                    ACTOR, vault, name=name, curve=Curve(curve), now=now, replace=replace, in_token=token
                )
                self.stdout.write(f"made {made.name}")
                authority = made
            self.stdout.write(f"SHA-256 fingerprint of {authority.name}: {fingerprint(authority)}")
            if out is not None:
                out.mkdir(parents=True, exist_ok=True)
                write_trust(out)
                if server_name:
                    self._server(vault, Curve(authority.curve), server_name, out)
        except (MeterspanError, OSError) as error:
            raise CommandError(str(error)) from error

    def _server(self, vault: Vault, curve: Curve, hosts: list[str], out: Path) -> None:
        key = signing.new_key(curve)
        made = issue_server_certificate(ACTOR, vault, hosts, key, timezone.now())
        private = signing.loaded(key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path = out / "server.key"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(private)
        certificate = x509.load_der_x509_certificate(bytes(made.der))
        (out / "server.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        self.stdout.write(f"{out / 'server.pem'} and {path} for {', '.join(hosts)} until {made.not_after:%Y-%m-%d}")
