"""`adapter-agent read`: shows what a meter says, one JSON object per reading and line."""

import os
import sys
from typing import TextIO

import msgspec

from adapter_agent.meter import INTERFACES
from adapter_agent.meter.base import MeterInterface
from adapter_agent.meter.line import Line
from meterwire.reading import Reading

READ, NOTHING_READ = 0, 1


def read(interface: str, device: str, baud: int, out: TextIO | None = None) -> int:
    """Print the readings in `device` until it ends or Ctrl-C; exit code 0, or 1 when there was none.

    What was refused is summed up on standard error. Raises LineError.
    """
    out = out or sys.stdout
    meter = INTERFACES[interface]()
    try:
        with Line(device, baud, patient=True) as line:
            readings = _copy(line, meter, out)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READ
    refused = ", ".join(f"{count} {reason}" for reason, count in sorted(meter.refused.items()))
    print(f"{readings} readings; refused: {refused or 'nothing'}", file=sys.stderr)
    if not readings:
        print(f"adapter-agent: no {interface} reading in {device}", file=sys.stderr)
    return READ if readings else NOTHING_READ


def _copy(line: Line, meter: MeterInterface, out: TextIO) -> int:
    readings = 0
    try:
        while data := line.read():
            readings += _print(meter.feed(data), out)
    except KeyboardInterrupt:
        pass
    return readings + _print(meter.close(), out)


def _print(readings: list[Reading], out: TextIO) -> int:
    for reading in readings:
        print(msgspec.json.encode(reading.to_json()).decode(), file=out, flush=True)
    return len(readings)
