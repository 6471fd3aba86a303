"""`manage.py pki_test`: writes a test PKI in the shape of the SM-PKI; touches neither database nor vault."""

import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from provisioning.pki import sm_pki
from provisioning.pki.signing import new_serial

MAX_NAME = 40


class Command(BaseCommand):
    help = "Write a TEST PKI: root, sub, and a market participant's TLS, signature and encryption certificates."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--out", type=Path, required=True, help="folder that does not exist yet, or is empty")
        parser.add_argument("--name", default="Meterspan", help="of the market participant")

    def handle(self, *, out: Path, name: str, **_: Any) -> None:
        if not name.strip() or len(name) > MAX_NAME:
            raise CommandError(f"--name is 1 to {MAX_NAME} characters long.")
        try:
            out.mkdir(parents=True, exist_ok=True)
            if any(out.iterdir()):
                raise CommandError(f"{out} is not empty; say another folder with --out.")
            for one in sm_pki.made(name.strip(), timezone.now().replace(microsecond=0), new_serial):
                _write(out, one)
                self.stdout.write(f"{one.name}: {one.certificate.subject.rfc4514_string()}")
        except OSError as error:
            raise CommandError(str(error)) from error


def _write(out: Path, one: sm_pki.Issued) -> None:
    (out / f"{one.name}.pem").write_bytes(one.certificate.public_bytes(Encoding.PEM))
    if one.crl is not None:
        (out / f"{one.name}.crl.pem").write_bytes(one.crl.public_bytes(Encoding.PEM))
    private = one.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(out / f"{one.name}.key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private)
