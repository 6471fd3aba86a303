"""`manage.py data_key_rotate SLUG`: a new data key for an organisation, and all its keys sealed anew under it."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from meterwire.errors import MeterspanError
from provisioning.accounts.actors import System
from provisioning.accounts.models import Organisation
from provisioning.keys.management.progress import as_data, watch
from provisioning.keys.services.data_key_rotation import add_data_key, reseal_all
from provisioning.keys.vault import Vault


class Command(BaseCommand):
    help = "Make a new data key for an organisation and seal its device keys anew; go on with --continue after a stop."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organisation", metavar="SLUG", help="the organisation's short name")
        parser.add_argument("--continue", action="store_true", dest="go_on", help="no new one, only seal the rest anew")
        parser.add_argument("--json", action="store_true", help="the result as one JSON object on standard output")

    def handle(self, *, organisation: str, go_on: bool, json: bool, **_: Any) -> None:
        actor, row = System("command data_key_rotate"), Organisation.objects.filter(slug=organisation).first()
        if row is None:
            raise CommandError(f"There is no organisation {organisation}.")
        try:
            vault = Vault.from_settings()
            if not go_on:
                add_data_key(actor, row, vault)
            steps = watch(reseal_all(actor, row, vault), self.stderr)
        except MeterspanError as error:
            raise CommandError(f"{error} Afterwards go on with --continue.") from None
        version = row.data_keys.order_by("-version").values_list("version", flat=True).first()
        lost = sum(step.lost for step in steps)
        self.stdout.write(
            _json(version, steps)
            if json
            else f"{organisation} seals under data key {version}; {lost} rows do not open."
        )


def _json(version: int | None, steps: list[Any]) -> str:
    return json.dumps({"version": version, "parts": as_data(steps)})
