"""`concentrator-agent run`, `key`, `audit`, `enrol` and `certificate`."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from concentrator_agent import __version__
from concentrator_agent.config import Config, load
from edge import config as toml
from edge import lean, logs, sealedfile
from meterwire.errors import MeterspanError

if TYPE_CHECKING:
    from argparse import Namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 ended as asked, 1 could not go on, 2 the configuration or the call is wrong."""
    options = _parse(arguments)
    try:
        config = load(options.config)
    except MeterspanError as error:
        print(error, file=sys.stderr)
        return 2
    if options.command == "run" and options.check_config:
        print(toml.effective(config), end="")
        return 0
    try:
        if options.command == "audit":
            return _audit(config, options)
        if options.command in ("enrol", "certificate"):
            return _certificate(config, options)
        if options.command == "key":
            _print_key(config)
        else:
            _run(config)
    except MeterspanError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parse(arguments: Sequence[str] | None) -> "Namespace":
    import argparse

    parser = argparse.ArgumentParser(prog="concentrator-agent", description="The concentrator's daemon.")
    parser.add_argument("--version", action="version", version=f"concentrator-agent {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the concentrator")
    key = commands.add_parser("key", help="print the public key for root keys and its fingerprint")
    audit = commands.add_parser("audit", help="print or check the record of what this concentrator was told to do")
    enrol = commands.add_parser("enrol", help="ask the portal for a certificate now; [enrolment] says how")
    certificate = commands.add_parser("certificate", help="show the certificate; exit code 1 when none is in force")
    for command in (run, key, audit, enrol, certificate):
        command.add_argument("--config", type=Path, required=True, metavar="FILE", help="the TOML file")
    run.add_argument("--check-config", action="store_true", help="print the effective configuration and stop")
    audit.add_argument("--since", metavar="TIME", help="only from this day or time (UTC) on, as 2026-11-27T08:00Z")
    audit.add_argument("--json", action="store_true", help="one JSON object per line")
    audit.add_argument("--verify", action="store_true", help="check the chain instead; exit code 1 when it is broken")
    enrol.add_argument(
        "--anew",
        action="store_true",
        help="with the one-time password again: the certificate was revoked or is over",
    )
    certificate.add_argument("--json", action="store_true", help="one JSON object")
    return parser.parse_args(arguments)


def _run(config: Config) -> None:
    lean.forget("argparse", "gettext", "tomllib")
    import asyncio

    from concentrator_agent.app import ConcentratorApp

    logs.configure(config.log.format, config.log.level)

    async def until_signal() -> None:
        app = ConcentratorApp(config)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, app.stop)
        await app.run()

    asyncio.run(until_signal())


def _audit(config: Config, options: "Namespace") -> int:
    from concentrator_agent import audit_report

    if options.verify:
        return audit_report.verify(config, as_json=options.json)
    return audit_report.show(config, options.since, as_json=options.json)


def _certificate(config: Config, options: "Namespace") -> int:
    from concentrator_agent.enrolment import report

    if options.command == "enrol":
        return report.enrol(config, anew=options.anew)
    return report.show(config, as_json=options.json)


def _print_key(config: Config) -> None:
    from concentrator_agent.unwrap import load_private_key
    from meterwire import transport_key

    credential = sealedfile.load_credential(config.credential_file)
    public = transport_key.public_key(load_private_key(config.concentrator.state_dir, credential))
    print(public.hex())
    print(f"fingerprint {transport_key.fingerprint(public)}")


if __name__ == "__main__":
    raise SystemExit(main())
