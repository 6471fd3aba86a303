"""Writes captures of our own making, with what a reader must find in them: for tests where no real ones are at hand.

`python -m adapter_agent.simulation.captures FOLDER`. The same folder content comes out every time.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapter_agent.simulation.load import Load
from adapter_agent.simulation.measurement import Mains
from adapter_agent.simulation.meters import SimulatedMeter
from adapter_agent.simulation.shapes import SHAPES, Shape
from meterwire.ids import MeterId

MORNING: Final = 1_771_398_000.0  # 2026-02-18 07:00 UTC: drawing
NOON: Final = 1_781_780_400.0  # 2026-06-18 11:00 UTC: feeding in where there is a roof
_CUT: Final = 57
_FLIPPED: Final = 90


@dataclass(frozen=True, slots=True)
class Capture:
    """One file: its octets and, per telegram that is whole, server id and register values."""

    name: str
    data: bytes
    telegrams: list[dict[str, Any]]


def captures() -> Iterator[Capture]:
    """Every shape with and without PIN, and one stream with damage in it."""
    for number, shape in enumerate(SHAPES.values()):
        for unlocked in (True, False):
            meter = _meter(shape, number, unlocked)
            moments = (MORNING, MORNING + meter.period_s, NOON)
            name = shape.name if unlocked else f"{shape.name}-without-pin"
            yield Capture(
                f"{name}.bin",
                b"".join(meter.telegram(moment) for moment in moments),
                [_expected(meter, moment) for moment in moments],
            )
    yield _damaged()


def write(folder: Path) -> int:
    """All captures and `expected.json` into `folder`; the number of files."""
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}
    for capture in captures():
        (folder / capture.name).write_bytes(capture.data)
        expected[capture.name] = capture.telegrams
    text = json.dumps(expected, indent=1, sort_keys=True)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")
    return len(expected) + 1


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print("usage: python -m adapter_agent.simulation.captures FOLDER", file=sys.stderr)
        return 2
    print(f"{write(Path(argv[0]))} files in {argv[0]}")
    return 0


def _damaged() -> Capture:
    """A telegram's tail, a whole one, one with a flipped bit, one cut short with a whole one right behind it."""
    meter = _meter(SHAPES["iskra-mt691"], 1, unlocked=True)
    moments = [NOON + step * meter.period_s for step in range(5)]
    tail, whole, flipped, cut, last = (meter.telegram(moment) for moment in moments)
    flipped = flipped[:_FLIPPED] + bytes((flipped[_FLIPPED] ^ 0x04,)) + flipped[_FLIPPED + 1 :]
    return Capture(
        "damaged.bin",
        tail[_CUT:] + whole + flipped + cut[:-_CUT] + last,
        [_expected(meter, moments[1]), _expected(meter, moments[4])],
    )


def _meter(shape: Shape, number: int, unlocked: bool) -> SimulatedMeter:
    identity = MeterId("1", shape.maker, 0x02 if shape.maker == "HLY" else 0x00, 42_000_100 + number)
    load = Load(100 + number, yearly_kwh=2400 + 150 * number, kwp=8.0, tariffs=2)
    return SimulatedMeter(shape, identity, Mains(load), pin=unlocked)


def _expected(meter: SimulatedMeter, moment: float) -> dict[str, Any]:
    values = {obis: f"{value:f}" for obis, value in meter.values(moment).items()}
    return {"server_id": meter.server_id.hex().upper(), "values": values}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
