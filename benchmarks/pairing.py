"""Measures pairing: a supplier's file, the scan request, the decoder in the browser, and the way to the first reading.

`import_10k_s` is the wall time from the upload of 10,000 adapters with their keys to the last row stored, and
`import_growth_mb` what the process grew by between 1,000 and 10,000 rows. `scan_p99_ms` is the server's time for a
pairing request at 100,000 adapters. `decode_median_ms` and `install_first_load_kb` come from a real Chromium.
`scan_to_first_reading_median_s` is virtual time over 100 pairings; `step_*_median_s` tells where it goes, `walk_wall_s`
what the 100 took.
"""

import json
import random
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.stand import portal
from benchmarks.support import arguments, report

IMPORTED = 10_000
ADAPTERS = 100_000
SCANS = 250
PAIRINGS = 100
SEED = 20261127


def main() -> None:
    options = arguments(__doc__)
    figures = _browser()
    with portal() as folder:
        figures |= _scans()
        figures |= _import()
        figures |= _walk(folder)
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


def _import() -> dict[str, float]:
    from benchmarks.supplier import import_file

    return import_file(IMPORTED)


def _scans() -> dict[str, float]:
    from benchmarks.scanning import Scanner

    scanner = Scanner(ADAPTERS, random.Random(SEED))
    times = sorted(scanner.scan() for _ in range(SCANS))
    return {"scan_p99_ms": times[int(len(times) * 0.99)] * 1000, "scan_p50_ms": times[len(times) // 2] * 1000}


def _browser() -> dict[str, float]:
    """In a process of its own: it serves a portal of its own, too."""
    code = "import json; from benchmarks.install_page import measure; print(json.dumps(measure()))"
    run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    main()
