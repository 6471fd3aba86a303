"""How far long work is: a bar on a terminal, a line for each part elsewhere, and all of it as data."""

from collections.abc import Iterable
from typing import Any, Final

from django.core.management.base import OutputWrapper

from provisioning.keys.services.renewal import Step

WIDTH: Final = 30


def watch(steps: Iterable[Step], out: OutputWrapper) -> list[Step]:
    """The last step of each part, in their order."""
    last: dict[str, Step] = {}
    terminal = out.isatty()
    for step in steps:
        if terminal:
            filled = WIDTH * step.done // max(step.total, 1)
            bar = f"\r{step.part:24} [{'#' * filled}{'.' * (WIDTH - filled)}] {step.done}/{step.total}"
            out.write(bar, str, "\n" if step.done == step.total else "")
        elif step.done == step.total:
            out.write(f"{step.part}: {step.done} of {step.total}", str)
        last[step.part] = step
    return list(last.values())


def as_data(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """For --json."""
    return [{"part": step.part, "done": step.done, "total": step.total, "lost": step.lost} for step in steps]
