"""`manage.py kek_init`: makes the key-encryption key of this installation."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from meterwire.errors import MeterspanError
from provisioning.keys import kek


class Command(BaseCommand):
    help = (
        "Create the key-encryption key (mode 0600) and its .pub file, or with MSPAN_KEK_PROVIDER=pkcs11 the key in the"
        " token and the wrapped intake key with its .pub file; never overwrites one."
    )
    requires_system_checks: list[str] = []  # the checks complain about the very key that is about to be made

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--out", type=Path, help="the file to create; default is MSPAN_KEK_FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.KEK_PROVIDER == kek.PKCS11 and options["out"] is None:
            self._in_token()
            return
        path: Path | None = options["out"] or (Path(settings.KEK_FILE) if settings.KEK_FILE else None)
        if path is None:
            raise CommandError("Name the file with --out or MSPAN_KEK_FILE.")
        try:
            public = kek.create(path)
        except FileExistsError as error:
            raise CommandError(
                f"{error.filename} exists and is kept: without the old key no stored device key opens again."
            ) from None
        except OSError as error:
            raise CommandError(f"{path} cannot be created: {error.strerror}") from None
        self.stdout.write(f"{path}: for the bridge (MSPAN_KEK_FILE); keep a copy apart from the database's backups")
        self.stdout.write(f"{public}: for web workers (MSPAN_KEK_PUBLIC_FILE), which may hand keys in but open none")

    def _in_token(self) -> None:
        from provisioning.keys.providers.hardware import KekPlace, Pkcs11Kek, create

        try:
            place = KekPlace.of(settings.PKCS11)
            public = create(place)
            made = Pkcs11Kek(place)
        except FileExistsError as error:
            raise CommandError(
                f"{error.filename} exists and is kept: without it no key that was handed in opens again."
            ) from None
        except OSError as error:
            raise CommandError(f"{place.intake_file} cannot be created: {error.strerror}") from None
        except MeterspanError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{made.kek_id}: made in the token {place.token.token}, check value {made.check_value}")
        self.stdout.write(f"{place.intake_file}: wrapped by it, for bridge and vault; it belongs into backups")
        self.stdout.write(f"{public}: for web workers (MSPAN_KEK_PUBLIC_FILE), which may hand keys in but open none")
