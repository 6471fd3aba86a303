"""`manage.py restore FILE`: puts a backup in the place of this installation."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from meterwire.errors import MeterspanError
from portal.ops.backup.restoring import Restored, restore


class Command(BaseCommand):
    help = "Restore a backup of the same version; end all processes of the portal before."
    requires_system_checks: list[str] = []  # what they look at may be what is to be restored

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--replace", action="store_true", help="over an installation that is there; it is lost")
        parser.add_argument(
            "--without-kek", action="store_true", help="although the key-encryption key is not here; no key will open"
        )

    def handle(self, *, file: Path, replace: bool, without_kek: bool, **_: Any) -> None:
        try:
            restored = restore(file, replace=replace, without_kek=without_kek)
        except MeterspanError as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The database does not answer: {error}") from None
        except OSError as error:
            raise CommandError(
                f"{error.filename} cannot be written: {error.strerror}; restore again with --replace."
            ) from None
        self.stdout.write(_text(restored))


def _text(restored: Restored) -> str:
    lines = [
        f"restored: {restored.rows} rows and {restored.photos} photos, as of {restored.made_at}",
        f"{restored.opened} of {restored.data_keys} data keys open with the key-encryption key of this process",
        "everybody has to log in again; concentrators get their whole device table anew",
    ]
    if restored.differing:
        lines.append(f"not as they were when the backup was made: {', '.join(restored.differing)}")
    return "\n".join(lines)
