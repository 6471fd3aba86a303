"""`manage.py import_keys ORGANISATION FILE`: takes the keys of a CSV or hand-over file in."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from meterwire.errors import MeterspanError
from provisioning.accounts.actors import System
from provisioning.accounts.models import Organisation
from provisioning.keys.key_file import MAX_BYTES
from provisioning.keys.services import import_key_file


class Command(BaseCommand):
    help = "Import keys that devices already hold, from a CSV or hand-over file; prints the check value of each."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organisation", help="its short name (slug)")
        parser.add_argument("file", help="a path, or - for standard input; the file is read once and not kept")
        parser.add_argument("--skip-bad", action="store_true", help="take the good rows although others are bad")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            organisation = Organisation.objects.get(slug=options["organisation"])
            content = _content(options["file"])
            report = import_key_file(System("command import_keys"), organisation, content, skip_bad=options["skip_bad"])
        except Organisation.DoesNotExist:
            raise CommandError(f"There is no organisation {options['organisation']}.") from None
        except MeterspanError as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}") from None
        for line, key in report.taken:
            place = key.partner if key.slot is None else f"{key.partner} slot {key.slot}"
            check = f"check value {key.check_value}"
            self.stdout.write(f"{line}: {key.adapter.dev_eui} {key.purpose} {place} {check} {key.state}")
        for row in report.bad:
            self.stderr.write(f"{row.line}: {row.field}: {row.message}")
        if report.bad and not report.taken:
            raise CommandError("Nothing was imported; mend the rows above, or leave them out with --skip-bad.")


def _content(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with Path(name).open("rb") as file:
        return file.read(MAX_BYTES + 1)
