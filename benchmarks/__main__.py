"""`./run bench [NAME ...]`: runs the benchmarks one by one, prints a table, writes JSON into benchmarks/results."""

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
NAMES = (
    "uplink", "concentrator", "pipeline", "pages", "pairing", "keys", "slots", "clock", "radio", "building", "slotmap",
    "discipline", "trust",
)  # fmt: skip
SECONDS = 180


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./run bench", description="Measure; figures on shared machines are noisy.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all by default")
    names = parser.parse_args(argv).names or list(NAMES)
    unknown = set(names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results[name] = _figures(name)
    _print(results)
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    target.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nwritten to {target.relative_to(ROOT)}", file=sys.stderr)
    return 1 if any("error" in figures for figures in results.values()) else 0


def _figures(name: str) -> dict[str, Any]:
    """The flat JSON object that a benchmark prints as its last line; no failure of one costs the others theirs."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json"]
    try:
        run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {SECONDS} s"}
    lines = run.stdout.strip().splitlines()
    if run.returncode != 0 or not lines:
        return {"error": f"exit code {run.returncode}"}
    figures: dict[str, Any] = json.loads(lines[-1])
    return figures


def _print(results: dict[str, dict[str, Any]]) -> None:
    width = max(len(figure) for figures in results.values() for figure in figures)
    for name, figures in results.items():
        for figure, value in figures.items():
            text = f"{value:,.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
            print(f"{name:14}{figure:{width + 2}}{text}")


if __name__ == "__main__":
    sys.exit(main())
