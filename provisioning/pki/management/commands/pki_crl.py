"""`manage.py pki_crl`: sign the lists of revoked certificates anew, write them as files, tell how long they hold."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from meterwire.errors import MeterspanError
from provisioning.keys import kek
from provisioning.keys.vault import Vault
from provisioning.pki.files import write_trust
from provisioning.pki.queries import latest_list, trusted_authorities
from provisioning.pki.services import refresh_by_vault
from provisioning.pki.services.lists import publish_each


class Command(BaseCommand):
    help = "Sign the lists of revoked certificates anew: all of them with the vault's key, else those that are due."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--out", type=Path, help="folder for ca.pem, crl.pem and est-clients.pem")
        parser.add_argument("--json", action="store_true", help="tell the lists as JSON")

    def handle(self, *, out: Path | None, json: bool, **_: Any) -> None:
        try:
            if kek.held():
                publish_each(Vault.from_settings(), trusted_authorities(), timezone.now())
            else:
                refresh_by_vault()
            if out is not None:
                out.mkdir(parents=True, exist_ok=True)
                write_trust(out)
        except (MeterspanError, OSError) as error:
            raise CommandError(str(error)) from error
        self._tell(json)

    def _tell(self, as_json: bool) -> None:
        found = [(authority, latest_list(authority)) for authority in trusted_authorities()]
        if not found:
            raise CommandError("There is no authority yet; run manage.py pki_init first.")
        rows = [
            {"authority": a.name, "number": row.number, "entries": row.entries, "until": row.next_update.isoformat()}
            for a, row in found
            if row is not None
        ]
        if as_json:
            self.stdout.write(json.dumps(rows))
            return
        for one in rows:
            self.stdout.write("{authority}: list {number}, {entries} revoked, holds until {until}".format(**one))
