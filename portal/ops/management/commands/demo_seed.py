"""`manage.py demo_seed`: the demo's building into the database and the agents' files; `./run demo` calls it."""

import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError

from portal.ops.demo import certificates, house
from portal.ops.demo.seed import hand_over_keys, seed


class Command(BaseCommand):
    help = "Make the demo's organisation, building and keys where they are missing, and write the agents' files."
    requires_system_checks = [Tags.security]  # it shows no pages and need not load them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--agents", type=Path, required=True, help="folder with building.toml")
        parser.add_argument("--meters", type=Path, required=True, help="folder in which the meters' devices appear")
        parser.add_argument("--password", required=True, help="of every demo login")
        parser.add_argument("--paired", type=int, help="adapters that are paired already; by default half of them")
        parser.add_argument("--without-slots", action="store_true", help="everybody sends at jittered times")
        for name in ("mqtt", "udp", "air"):
            parser.add_argument(f"--{name}-port", type=int, required=True)
        parser.add_argument(
            "--pki", type=Path, help="folder of the authority; then the concentrator gets a certificate"
        )
        for name in ("certificates", "est"):
            parser.add_argument(f"--{name}-port", type=int)

    def handle(self, *_args: Any, **options: Any) -> None:
        agents: Path = options["agents"]
        ports = {name: options[f"{name}_port"] for name in ("mqtt", "udp", "air", "certificates", "est")}
        pki: Path | None = options["pki"]
        flats = house.flats(agents / "building.toml")
        concentrator = house.write_concentrator(agents, ports, pki)
        for flat in flats:
            house.write_adapter(agents, flat, options["meters"], ports)
        made = seed(
            flats, agents, options["password"], lambda: _public_key(concentrator), options["paired"],
            slots=not options["without_slots"],
        )  # fmt: skip
        if made:
            self.stdout.write(f"made the organisation and {len(flats)} adapters")
        hand_over_keys(flats, agents)
        if pki is not None:
            certificates.prepare(pki, agents)


def _public_key(config: Path) -> str:
    """What the concentrator itself says its key is, as an operator would copy it over."""
    program = Path(sys.executable).parent / "concentrator-agent"
    answer = subprocess.run([program, "key", "--config", config], text=True, capture_output=True, check=False)
    if answer.returncode != 0:
        raise CommandError(f"concentrator-agent key failed: {answer.stderr.strip()}")
    return answer.stdout.split()[0]
