"""`manage.py seal_history ORGANISATION`: takes away the clear values that were stored before sealed telemetry."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from meterwire.errors import MeterspanError
from portal.telemetry.sealed_history import Tally, seal_history
from provisioning.accounts.models import Organisation
from provisioning.keys.vault import Vault


class Command(BaseCommand):
    help = "Remove clear values whose stored telegram yields them; can be killed and run again at any time."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organisation", metavar="ORGANISATION", help="its short name")

    def handle(self, *, organisation: str, **options: Any) -> None:
        row = Organisation.objects.filter(slug=organisation).first()
        if row is None:
            raise CommandError(f"There is no organisation with the short name {organisation}.")
        try:
            tally = seal_history(Vault.from_settings(), row, self._tell)
        except MeterspanError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{tally.adapters} adapters, {tally.sealed} values sealed")
        if tally.clear:
            self.stdout.write(
                f"{tally.clear} values stay clear: their telegram is not stored any more, or its key is destroyed."
                " Retention removes them in time."
            )

    def _tell(self, tally: Tally) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r{tally.adapters} adapters, {tally.sealed} values", ending="")
