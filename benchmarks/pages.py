"""Measures the portal's pages at 100,000 adapters and 10 million readings on a private PostgreSQL.

`p99_ms` is the 99th percentile of the time the server spends on one request (middleware, view, queries, template) over
all pages and API routes asked in turn with random parameters; the worst pages stand beside it. Reading the answer over
a network is not part of it.
"""

import gc
import random
import time

from benchmarks.fleet import Fleet, fill
from benchmarks.stand import portal
from benchmarks.support import arguments, report

ADAPTERS = 100_000
READINGS = 10_000_000
SECONDS = 12.0
SEED = 20261124
EMAIL = "operator@bench.example"


def main() -> None:
    options = arguments(__doc__)
    with portal():
        from benchmarks.browsing import Browser

        began = time.monotonic()
        organisation = Browser.prepare(EMAIL)
        fill(Fleet(ADAPTERS, READINGS), organisation)
        filled = time.monotonic() - began
        browser = Browser(EMAIL, ADAPTERS, random.Random(SEED))
        browser.visit_each(times=3)
        gc.collect()
        spent = browser.visit_for(SECONDS)
    everything = sorted(seconds for times in spent.values() for seconds in times)
    figures = {
        "p99_ms": percentile(everything, 0.99) * 1000,
        "p50_ms": percentile(everything, 0.5) * 1000,
        "requests": float(len(everything)),
        "fill_s": filled,
    }
    for name, times in sorted(spent.items()):
        figures[f"p99_ms_{name}"] = percentile(sorted(times), 0.99) * 1000
    report(figures, options.json)


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


if __name__ == "__main__":
    main()
