"""The `meterwire` command: `meterwire explain TEXT` for people who have to find out what a text on the air means."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from meterwire.errors import MeterspanError, ValueOutOfRange
from meterwire.explain import MAX_TEXT, Context, explain
from meterwire.ids import DevEUI
from meterwire.seal import Key16

EXIT_READ, EXIT_UNREADABLE = 0, 2
MAX_KEY_FILE = 4096

_EPILOG = """\
TEXT is hex (a whole LoRaWAN frame, or an application payload), the text of an adapter label, or an identifier:
EUI-64, meter identifier, SML server id, OMS address, MaLo-ID, MeLo-ID, NeLo-ID, SR-ID, TR-ID, MP-ID, EIC.
- reads it from standard input. Prints one JSON object. Exit code 0: read; 2: not, the reason is on standard error.

Keys are 32 hex digits. Other users of the machine can see a command line: @FILE reads the key from a file instead.
Numbers may be decimal or hexadecimal (0x1267f).

  meterwire explain 1EMH0012345678
  meterwire explain --dev-eui 70B3D57ED0061234 --key @inner.key --last-counter 75390 11267f619cc262b842d3e97ed2d1c10f
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        answer = explain(_text(options.text), _context(options))
    except MeterspanError as error:
        print("meterwire:", "".join(c if c.isprintable() else "?" for c in str(error)), file=sys.stderr)
        return EXIT_UNREADABLE
    print(json.dumps(answer, indent=2 if sys.stdout.isatty() else None))
    return EXIT_READ


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        # argparse repeats what it did not understand, and that may be a key.
        cause, colon, rest = message.partition("unrecognized arguments: ")
        names = re.findall("(?:^| )(--[a-z-]+)", rest)
        super().error(f"{cause}{colon}{' '.join(names) or '(hidden)'}" if colon else message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="meterwire", description="Meterspan's wire formats.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"meterwire {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    command = commands.add_parser(
        "explain",
        help="say what a text is and what it holds",
        description="Says what a text is and what it holds.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument("--port", metavar="P", help="TEXT is the application payload of this port (0 to 255)")
    command.add_argument("--dev-eui", metavar="E", help="DevEUI of the adapter, 16 hex digits")
    command.add_argument(
        "--key", metavar="K", help="inner key of the adapter; port 34: transport key; join frame: root key"
    )
    command.add_argument("--last-counter", metavar="N", help="full inner counter of the telegram before this one")
    command.add_argument("--nwk-s-key", metavar="K", help="LoRaWAN network session key: checks the MIC")
    command.add_argument("--app-s-key", metavar="K", help="LoRaWAN application session key: decrypts the payload")
    command.add_argument("--fcnt-high", metavar="N", help="upper 16 bits of the LoRaWAN frame counter (default 0)")
    command.add_argument("text", metavar="TEXT", help="what to explain; - reads standard input")
    return parser


def _context(options: argparse.Namespace) -> Context:
    return Context(
        port=_number("--port", options.port),
        dev_eui=None if options.dev_eui is None else DevEUI.parse(options.dev_eui),
        key=_key("--key", options.key),
        last_counter=_number("--last-counter", options.last_counter),
        nwk_s_key=_key("--nwk-s-key", options.nwk_s_key),
        app_s_key=_key("--app-s-key", options.app_s_key),
        fcnt_high=_number("--fcnt-high", options.fcnt_high),
    )


def _text(text: str) -> str:
    return sys.stdin.buffer.read(MAX_TEXT + 1).decode("utf-8", "replace") if text == "-" else text


def _number(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,10}|0[xX][0-9A-Fa-f]{1,8}", text):
        raise ValueOutOfRange(f"{option} takes a whole number of at most 32 bits, decimal or 0x and hex digits")
    return int(text, 16 if text[:2] in ("0x", "0X") else 10)


def _key(option: str, text: str | None) -> Key16 | None:
    if text is None:
        return None
    if text.startswith("@"):
        text = _file(option, text[1:])
    try:
        return Key16.parse(re.sub("[-: ]", "", text.strip()))
    except ValueOutOfRange as error:
        raise ValueOutOfRange(f"{option}: {error}") from None


def _file(option: str, name: str) -> str:
    try:
        with open(name, encoding="ascii") as file:
            return file.read(MAX_KEY_FILE)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ValueOutOfRange(f"{option}: the key file '{name}' cannot be read: {reason}") from None


def _version() -> str:
    try:
        return version("meterspan")
    except PackageNotFoundError:
        return "(not installed)"
