"""`manage.py run_bridge`: moves telegrams from MQTT into the database until SIGTERM or SIGINT."""

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser

from edge.mqtt import LinkSettings, Tls
from meterwire.errors import MeterspanError
from portal.bridge.app import Bridge, BridgeSettings
from provisioning.keys.memory import guard


class Command(BaseCommand):
    help = "Run the bridge between MQTT and the database; needs MSPAN_KEK_FILE and the broker's password."
    requires_system_checks = [Tags.security]  # it serves no pages and need not load them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", default=f"bridge-{socket.gethostname()}"[:60], help="unique among all bridges")
        parser.add_argument("--group", default="", help="share the telegrams with all bridges of this group")

    def handle(self, *, name: str, group: str, **_: Any) -> None:
        guard()  # it opens telegrams and wraps keys
        try:
            asyncio.run(_run(BridgeSettings(name, _link(name), settings.REDIS_URL, group)))
        except MeterspanError as error:
            raise CommandError(str(error)) from error


def _link(name: str) -> LinkSettings:
    mqtt: dict[str, Any] = settings.MQTT
    return LinkSettings(
        host=mqtt["host"],
        port=mqtt["port"],
        client_id=f"portal-{name}",
        username=mqtt["username"] or None,
        password=mqtt["password"] or None,
        tls=Tls(Path(mqtt["ca_file"])) if mqtt["ca_file"] else None,
        max_inflight=200,
    )


async def _run(bridge_settings: BridgeSettings) -> None:
    bridge = Bridge(bridge_settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, bridge.stop)
    await bridge.run()
