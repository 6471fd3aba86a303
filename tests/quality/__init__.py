"""The checks of `./run lint`, as tests and as `python -m tests.quality`."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

CHECKS: dict[str, list[str]] = {
    "ruff": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "imports": ["lint-imports"],
    "djlint": ["djlint", "--check", "--lint", "--quiet", "templates"],
    "migrations": ["python", "manage.py", "makemigrations", "--check", "--dry-run"],
}


def run(name: str) -> subprocess.CompletedProcess[str]:
    """Run one check in the project's folder; its output is in `stdout`."""
    program, *arguments = CHECKS[name]
    return subprocess.run(
        [BIN / program, *arguments],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
