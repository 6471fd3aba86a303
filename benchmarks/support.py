"""What the benchmarks share: CPU timing in rounds, and one flat JSON object as the last line of the output."""

import argparse
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROUNDS = 9


def arguments(description: str | None) -> argparse.Namespace:
    """The command line of every benchmark: `--json` leaves out the table."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    return parser.parse_args()


def cpu_seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """CPU seconds of this process for one call of `work`: the median of `rounds`, after one that does not count."""
    work()
    gc.collect()
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return statistics.median(spent)


def report(figures: Mapping[str, float], json_only: bool) -> None:
    """The figures as a table, unless `json_only`, and as one JSON object in the last line."""
    if not json_only:
        print(machine())
        width = max(map(len, figures))
        for name, value in figures.items():
            print(f"{name:{width}}  {value:>16,.2f}")
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))
    sys.stdout.flush()


def machine() -> str:
    """One line that tells what the figures were measured on."""
    return f"{_processor()}, Python {platform.python_version()}, {platform.system()} {platform.release()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()
