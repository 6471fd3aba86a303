"""The command line: runs a building, checks its file, or writes a new one."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adapter_agent.simulation.apartment_house import apartment_house
from adapter_agent.simulation.building import Building
from adapter_agent.simulation.config import Config, GatewayPlace, load
from edge import logs
from edge.clock import Clock, ScaledClock, SystemClock
from edge.config import effective
from edge.watchdog import sd_notify
from meterwire.errors import FormatError, MeterspanError
from meterwire.ids import GatewayEUI

REFUSED = 2
DEFAULT_UDP_PORT = 1700


def main(argv: Sequence[str] | None = None) -> int:
    """0 after a stop that was asked for; 2 with a sentence on standard error when it cannot run."""
    options = _parser().parse_args(argv)
    try:
        if options.new is not None:
            _write(options)
            return 0
        config = load(options.config)
        if options.check_config:
            print(effective(config), end="")
            return 0
        logs.configure(config.log.form, config.log.level)
        asyncio.run(run(config))
    except MeterspanError as error:
        print(f"simulation: {error}", file=sys.stderr)
        return REFUSED
    return 0


async def run(config: Config) -> None:
    """Run the building until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    clock: Clock = SystemClock() if config.building.speed == 1 else ScaledClock(config.building.speed)
    async with Building(config, clock) as building:
        air = building.server
        print(
            f"ready: air on {air.host}:{air.port}, {len(config.meter)} meters in {config.building.folder}, "
            f"{len(config.gateway)} gateways",
            flush=True,
        )
        sd_notify("READY=1")
        failure, asked = asyncio.create_task(building.wait()), asyncio.create_task(stop.wait())
        await asyncio.wait({failure, asked}, return_when=asyncio.FIRST_COMPLETED)
        for task in (failure, asked):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await failure
    sd_notify("STOPPING=1")


def _write(options: argparse.Namespace) -> None:
    if options.config.exists():
        raise FormatError(f"{options.config} exists; remove it or choose another name")
    house = apartment_house(
        options.new, options.gateway, folder=Path(options.meters), seed=options.seed, air_port=options.air_port
    )
    house = _mixed_up(house, options.swap, options.nameless)
    options.config.write_text(f"# A building of {options.new} adapters.\n\n{effective(house)}", encoding="utf-8")


def _mixed_up(house: Config, swaps: Sequence[Sequence[str]], nameless: Sequence[str]) -> Config:
    """The building with the wires of some meters exchanged and some meters that never say which they are."""
    lines = {meter.name: meter.name for meter in house.meter}
    for name in [*nameless, *(name for pair in swaps for name in pair)]:
        if name not in lines:
            raise FormatError(f"there is no meter '{name}'; known: {', '.join(lines)}")
    for one, other in swaps:
        lines[one], lines[other] = lines[other], lines[one]
    meters = [
        replace(
            meter,
            named=meter.name not in nameless,
            plugged=lines[meter.name] if lines[meter.name] != meter.name else None,
        )
        for meter in house.meter
    ]
    return replace(house, meter=tuple(meters))


def _gateway(text: str) -> GatewayPlace:
    eui, _, server = text.partition("@")
    host, _, port = server.partition(":")
    try:
        return GatewayPlace(
            GatewayEUI.parse(eui), int(port or DEFAULT_UDP_PORT), host or "127.0.0.1", floor=-1, x_m=9.0, y_m=5.0
        )
    except (MeterspanError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no EUI@HOST:PORT: {error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m adapter_agent.simulation", description="Meters, radio air and gateways of a whole building."
    )
    parser.add_argument("config", type=Path, metavar="FILE", help="building.toml")
    parser.add_argument("--check-config", action="store_true", help="print the effective configuration and leave")
    new = parser.add_argument_group("writing a new file instead")
    new.add_argument("--new", type=int, metavar="N", help="write a building of N adapters to FILE and leave")
    new.add_argument(
        "--gateway", type=_gateway, action="append", default=[], metavar="EUI@HOST:PORT", help="may be repeated"
    )
    new.add_argument("--meters", default="meters", metavar="FOLDER", help="where the meters' devices appear")
    new.add_argument("--air-port", type=int, default=0, metavar="PORT")
    new.add_argument(
        "--swap",
        nargs=2,
        action="append",
        default=[],
        metavar="METER",
        help="mix up two meters' wires; repeatable",
    )
    new.add_argument(
        "--nameless",
        action="append",
        default=[],
        metavar="METER",
        help="a meter that tells no identity; repeatable",
    )
    new.add_argument("--seed", type=int, default=1)
    return parser
