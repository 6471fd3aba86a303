"""`manage.py broker_config`: writes Mosquitto's configuration and what it reads into a folder."""

import getpass
import os
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.ops import broker
from provisioning.fleet.queries import broker_accounts
from provisioning.pki.queries import broker_trust


class Command(BaseCommand):
    help = "Write Mosquitto's configuration, access list and passwords; start it with mosquitto -c DIR/mosquitto.conf."
    requires_system_checks = [Tags.security]  # it shows no pages and need not load them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="made when it is missing")
        parser.add_argument("--port", type=int, default=None, help="plain listener (default: MSPAN_MQTT_PORT)")
        parser.add_argument("--host", default="127.0.0.1", help="address of the plain listener")
        parser.add_argument("--tls-port", type=int, default=None, help="a second listener, with TLS")
        parser.add_argument(
            "--certificates-port",
            type=int,
            default=None,
            help="a listener for concentrators that show a certificate; needs pki_init",
        )
        parser.add_argument("--certificate", type=Path, help="server certificate (PEM) of the TLS listeners")
        parser.add_argument("--key", type=Path, help="its private key (PEM)")
        parser.add_argument("--tls-host", default="0.0.0.0", help="address of the TLS listeners")  # noqa: S104
        parser.add_argument("--user", default=None, help="whom the broker becomes when root starts it")
        parser.add_argument("--reload", action="store_true", help="let a running broker read the files again")

    def handle(self, *, out: Path, **options: Any) -> None:
        mqtt: dict[str, Any] = settings.MQTT
        if not mqtt["password"]:
            raise CommandError("Set MSPAN_MQTT_PASSWORD_FILE to a file with the portal's own password at the broker.")
        out = out.resolve()
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        user = options["user"] or (getpass.getuser() if os.geteuid() == 0 else None)
        text = broker.configuration(out, _listeners(options, mqtt), user)
        changed = options["certificates_port"] is not None and _write_trust(out)
        changed |= broker.write(out / broker.CONFIGURATION, text, 0o644)
        changed |= broker.write(out / broker.ACCESS, broker.access_list(mqtt["username"]), 0o600)
        accounts = broker_accounts()
        text = broker.passwords(mqtt["username"], mqtt["password"], accounts)
        changed |= broker.write(out / broker.PASSWORDS, text, 0o600)
        if options["user"] and os.geteuid() == 0:
            for path in (out, *(out / name for name in broker.FILES if (out / name).exists())):
                shutil.chown(path, options["user"])
        reloaded = options["reload"] and changed and broker.reload(out)
        self.stdout.write(
            f"{out}: the portal and {len(accounts)} concentrators{'' if changed else ', unchanged'}"
            f"{', broker told' if reloaded else ''}"
        )


def _listeners(options: dict[str, Any], mqtt: dict[str, Any]) -> list[broker.Listener]:
    listeners = [broker.Listener(options["port"] or mqtt["port"], options["host"])]
    for name, clients in (("tls_port", False), ("certificates_port", True)):
        port, certificate, key = options[name], options["certificate"], options["key"]
        if port is None:
            continue
        if certificate is None or key is None:
            raise CommandError("A TLS listener needs --certificate and --key.")
        where = (port, options["tls_host"], certificate.resolve(), key.resolve())
        listeners.append(broker.Listener(*where, clients=clients))
    return listeners


def _write_trust(out: Path) -> bool:
    trust = broker_trust()
    if not all(trust):
        raise CommandError("There is no authority yet, or no list of revoked certificates: run manage.py pki_init.")
    changed = broker.write(out / broker.DEVICE_ACCESS, broker.device_access_list(), 0o600)
    return broker.write_trust(out, trust) or changed
