"""Measures the portal's pages at 100,000 adapters and 10 million readings on a private PostgreSQL.

`p99_ms` is the 99th percentile of the time the server spends on one request (middleware, view, queries, template) over
all pages and API routes asked in turn with random parameters; the worst pages stand beside it. Reading the answer over
a network is not part of it.
"""

import gc
import os
import random
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.fleet import Fleet, fill
from benchmarks.support import arguments, report
from tests.support.processes import postgres, redis

ADAPTERS = 100_000
READINGS = 10_000_000
SECONDS = 12.0
SEED = 20261124
EMAIL = "operator@bench.example"


def main() -> None:
    options = arguments(__doc__)
    with _portal():
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
        "p99_ms": _percentile(everything, 0.99) * 1000,
        "p50_ms": _percentile(everything, 0.5) * 1000,
        "requests": float(len(everything)),
        "fill_s": filled,
    }
    for name, times in sorted(spent.items()):
        figures[f"p99_ms_{name}"] = _percentile(sorted(times), 0.99) * 1000
    report(figures, options.json)


@contextmanager
def _portal() -> Iterator[None]:
    """A migrated, empty portal with a database and a cache of its own; ends with the block."""
    options = {"shared_buffers": "1GB", "max_wal_size": "8GB", "full_page_writes": "off", "autovacuum": "off"}
    database, cache = postgres(options), redis()
    kek = Path(tempfile.mkdtemp(prefix="mspan-bench-")) / "kek"
    kek.touch(mode=0o600)
    kek.write_bytes(secrets.token_bytes(32))
    os.environ.update(
        MSPAN_DATABASE_URL=f"postgres://mspan@127.0.0.1:{database.port}/mspan",
        MSPAN_REDIS_URL=f"redis://127.0.0.1:{cache.port}/0",
        MSPAN_SECRET_KEY=secrets.token_urlsafe(48),
        MSPAN_KEK_FILE=str(kek),
        MSPAN_TLS="0",
        DJANGO_SETTINGS_MODULE="portal.settings",
    )
    try:
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        yield
    finally:
        database.stop()
        cache.stop()
        kek.unlink()
        kek.parent.rmdir()


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


if __name__ == "__main__":
    main()
