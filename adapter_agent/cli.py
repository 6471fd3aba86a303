"""The command line of the adapter: read a meter, provision keys, run."""

import argparse
import sys
from pathlib import Path

from adapter_agent import __version__
from adapter_agent.meter import INTERFACES
from adapter_agent.meter.line import BAUD_RATES, STANDARD_INPUT
from meterwire.errors import MeterspanError

REFUSED = 2


def main(argv: list[str] | None = None) -> int:
    """Run `adapter-agent`; the exit code is 0, 1 for nothing to show, 2 with a message on standard error."""
    options = _parser().parse_args(argv)
    try:
        code: int = options.run(options)
    except MeterspanError as error:
        print(f"adapter-agent: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="adapter-agent", description="The daemon beside a meter.")
    parser.add_argument("--version", action="version", version=f"adapter-agent {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="read meters, seal the values, send them")
    run.add_argument("--config", type=Path, required=True, metavar="FILE", help="see adapter.example.toml")
    run.add_argument("--check-config", action="store_true", help="print the effective configuration and leave")
    run.set_defaults(run=_run)

    board = commands.add_parser(
        "board", help="run the interface board's half, coupled to a base board by a serial line"
    )
    board.add_argument("--config", type=Path, required=True, metavar="FILE", help="see adapter.example.toml")
    board.add_argument("--check-config", action="store_true", help="print the effective configuration and leave")
    board.set_defaults(run=_board)

    provision = commands.add_parser("provision", help="seal the keys of a hand-over file and remove the file")
    provision.add_argument("--config", type=Path, required=True, metavar="FILE")
    provision.add_argument("--keys", type=Path, required=True, metavar="FILE", help="as the portal handed it over")
    provision.set_defaults(run=_provision)

    commission = commands.add_parser("commission", help="press the commissioning button of the running adapter")
    commission.add_argument("--config", type=Path, required=True, metavar="FILE", help="the one it was started with")
    commission.set_defaults(run=_commission)

    read = commands.add_parser("read", help="print what a meter says, one JSON object per reading")
    read.add_argument("--interface", choices=sorted(INTERFACES), default="sml")
    read.add_argument("--baud", type=int, choices=sorted(BAUD_RATES), default=9600, help="of a serial line; 8N1")
    read.add_argument("device", metavar="FILE|DEVICE|-", help=f"'{STANDARD_INPUT}' is standard input")
    read.set_defaults(run=_read)
    return parser


# Each command loads only what it needs: `read` runs without any cryptography.


def _run(options: argparse.Namespace) -> int:
    from adapter_agent.daemon import run

    return run(options.config, check_only=options.check_config)


def _board(options: argparse.Namespace) -> int:
    from adapter_agent.daemon import board

    return board(options.config, check_only=options.check_config)


def _provision(options: argparse.Namespace) -> int:
    from adapter_agent.daemon import provision

    return provision(options.config, options.keys)


def _commission(options: argparse.Namespace) -> int:
    from adapter_agent.daemon import commission

    return commission(options.config)


def _read(options: argparse.Namespace) -> int:
    from adapter_agent.read import read

    return read(options.interface, options.device, options.baud)
