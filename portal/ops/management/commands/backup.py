"""`manage.py backup --out FILE`: the installation in one file; keys in it are wrapped."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from meterwire.errors import MeterspanError
from portal.ops.backup.making import make


class Command(BaseCommand):
    help = "Back up database and photos; keep the key-encryption key and the secret key apart from it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--out", type=Path, required=True, help="the file to create (mode 0600); no other is touched"
        )

    def handle(self, *, out: Path, **_: Any) -> None:
        try:
            facts = make(out)
        except MeterspanError as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The database does not answer: {error}") from None
        except OSError as error:
            raise CommandError(f"{error.filename or out} cannot be read or written: {error.strerror}") from None
        keks = ", ".join(facts["keks"]) or "none"
        self.stdout.write(f"{out}: {sum(facts['counts'].values())} rows; its keys open with {keks}")
