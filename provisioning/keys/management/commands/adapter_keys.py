"""`manage.py adapter_keys DEVEUI --out FILE`: writes the key file with which an adapter is provisioned."""

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI
from provisioning.accounts.actors import System
from provisioning.fleet.models import Adapter
from provisioning.keys.services import hand_over, issue_adapter_keys
from provisioning.keys.vault import Vault


class Command(BaseCommand):
    help = "Hand over an adapter's root key and undelivered inner keys in a file of mode 0600; audited."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("dev_eui", metavar="DEVEUI")
        parser.add_argument("--out", type=Path, required=True, help="the file to create; an existing one is kept")
        parser.add_argument("--issue", action="store_true", help="first issue the keys that the adapter does not have")
        parser.add_argument("--reason", default="provisioning", help="for the audit")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = System("command adapter_keys")
        try:
            dev_eui = str(DevEUI.parse(options["dev_eui"]))
            adapter = Adapter.objects.select_related("organisation").get(dev_eui=dev_eui, archived_at=None)
            vault = Vault.from_settings()
            with transaction.atomic():
                if options["issue"]:
                    issue_adapter_keys(actor, adapter)
                file = hand_over(actor, adapter, vault, options["reason"])
                _write(options["out"], file.content)
        except Adapter.DoesNotExist:
            raise CommandError(f"There is no adapter {options['dev_eui']}.") from None
        except MeterspanError as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{options['out']} cannot be written: {error.strerror}") from None
        self.stdout.write(f"{options['out']}: keys of {dev_eui}; adapter-agent provision seals and removes it")


def _write(path: Path, content: bytes) -> None:
    """Inside the transaction: when the file cannot be written, the keys do not count as handed over."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
