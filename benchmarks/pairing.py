"""Measures pairing: a supplier's file, the scan request, the decoder in the browser, and the way to the first reading.

`import_10k_s` is the wall time from the upload of 10,000 adapters with their keys to the last row stored, and
`import_growth_mb` what the process grew by between 1,000 and 10,000 rows. `scan_p99_ms` is the server's time for a
pairing request at 100,000 adapters. `decode_median_ms` and `install_first_load_kb` come from a real Chromium.
`scan_to_first_reading_median_s` is virtual time over 100 pairings, with slots of the usual plan every 15 minutes;
`step_*_median_s` tells where it goes, `walk_wall_s` what the 100 took.
"""

import json
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.stand import portal
from benchmarks.support import arguments, report

IMPORT = """
import json
from benchmarks.stand import portal
with portal():
    from benchmarks.supplier import import_file
    print(json.dumps(import_file(10_000)))
"""
BROWSER = "import json; from benchmarks.install_page import measure; print(json.dumps(measure()))"
ADAPTERS = 100_000
SCANS = 150
PAIRINGS = 100
SEED = 20261127


def main() -> None:
    options = arguments(__doc__)
    with portal() as folder:
        figures = _scans()
        beside = [_start(code) for code in (IMPORT, BROWSER)]  # far from their bounds, so that company does not matter
        figures |= _walk(folder)
    for process in beside:
        figures |= _figures(process)
    report(figures, options.json)


def _walk(folder: Path) -> dict[str, float]:
    from benchmarks.installations import simulate

    run = simulate(folder, PAIRINGS)
    totals = sorted(run.totals)
    figures = {
        "scan_to_first_reading_median_s": statistics.median(totals),
        "scan_to_first_reading_p90_s": totals[int(len(totals) * 0.9)],
        "scan_to_first_reading_max_s": totals[-1],
        "pairings_unfinished": float(run.unfinished),
        "walk_simulated_s": run.simulated_s,
        "walk_wall_s": run.wall_s,
    }
    whole = sum(totals)
    for step, seconds in run.steps.items():
        figures[f"step_{step}_median_s"] = statistics.median(seconds)
        figures[f"step_{step}_share"] = sum(seconds) / whole
    return figures


def _scans() -> dict[str, float]:
    from benchmarks.scanning import Scanner

    scanner = Scanner(ADAPTERS, random.Random(SEED))
    times = sorted(scanner.scan() for _ in range(SCANS))
    return {"scan_p99_ms": times[int(len(times) * 0.99)] * 1000, "scan_p50_ms": times[len(times) // 2] * 1000}


def _start(code: str) -> "subprocess.Popen[str]":
    """A part that serves or fills a portal of its own, without the settings of this one."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("MSPAN_", "DJANGO_"))}
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=surroundings)


def _figures(process: "subprocess.Popen[str]") -> dict[str, float]:
    said, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"a part ended with code {process.returncode}")
    figures: dict[str, float] = json.loads(said.splitlines()[-1])
    return figures


if __name__ == "__main__":
    main()
