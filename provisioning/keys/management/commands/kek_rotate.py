"""`manage.py kek_rotate`: brings everything under the present key-encryption key, with the help of the old one."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from meterwire.errors import MeterspanError
from provisioning.accounts.actors import System
from provisioning.keys import kek
from provisioning.keys.management.progress import as_data, watch
from provisioning.keys.services.kek_rotation import left_under_other_keks, rotate_kek


class Command(BaseCommand):
    help = (
        "Wrap all data keys with the present key-encryption key (MSPAN_KEK_*); the one before is named by"
        " MSPAN_OLD_KEK_FILE or MSPAN_OLD_KEK_PROVIDER=pkcs11. Stop it at any time and run it again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="only tell what is left; exit code 1 when something is"
        )
        parser.add_argument("--json", action="store_true", help="the result as one JSON object on standard output")

    def handle(self, *, check: bool, json: bool, **_: Any) -> None:
        try:
            present, before = kek.current(), kek.previous()
            steps = [] if check else watch(rotate_kek(System("command kek_rotate"), present, before), self.stderr)
            left = left_under_other_keks(present)
        except MeterspanError as error:
            raise CommandError(f"{error} What was done stays done; run this command again afterwards.") from None
        lost = sum(step.lost for step in steps)
        self.stdout.write(_json(present, steps, left) if json else _text(present, left, lost))
        if left:
            raise CommandError("; ".join(f"{count} data keys still need {kek_id}" for kek_id, count in left.items()))


def _json(present: kek.KekProvider, steps: list[Any], left: dict[str, int]) -> str:
    return json.dumps({"kek": present.kek_id, "parts": as_data(steps), "left": left})


def _text(present: kek.KekProvider, left: dict[str, int], lost: int) -> str:
    unread = f" {lost} rows open with neither key and were left alone; see docs/custodian.md." if lost else ""
    if left:
        return f"The present key-encryption key is {present.kek_id}.{unread}"
    return f"All data keys are under {present.kek_id}; the old key is needed for old backups only.{unread}"
