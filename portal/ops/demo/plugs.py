"""The sockets of the demo's adapters: a file says that somebody has plugged one in, or pulled it and put it in anew.

The demo's page writes it, the launcher looks at it: so the page needs no right over processes.
"""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

from portal.ops.demo.house import Flat, unpaired
from portal.ops.demo.supervisor import Child, Supervisor

LOOK_S = 0.4
APART_S = 1.0  # as somebody goes from one to the next; those that ask to join at the same moment disturb each other
_NAME = re.compile(r"adapter-[0-9]{2,4}")


def plug_in(folder: Path, name: str) -> None:
    """Give power to the adapter `name`; again: take it away for a moment."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"no adapter of the demo is called {name[:40]!r}")
    (folder / name).write_text("plugged in\n")


def plug_in_first(folder: Path, flats: Sequence[Flat]) -> None:
    """On the first start: all paired adapters have power, and one that nobody has paired yet."""
    if plugged(folder):
        return
    boxed = unpaired(flats)
    for flat in flats:
        if flat not in boxed or flat is boxed[-1]:
            plug_in(folder, flat.name)


def plugged(folder: Path) -> dict[str, int]:
    """When each adapter was last plugged in, in ns of the file system's clock."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if _NAME.fullmatch(path.name)}


class Sockets:
    """All sockets of the building, looked at by the launcher."""

    def __init__(self, folder: Path, children: Sequence[Child], supervisor: Supervisor) -> None:
        self._folder, self._supervisor = folder, supervisor
        self._children = {child.name: child for child in children}
        self._seen: dict[str, int] = {}

    async def look(self) -> None:
        """Start what was plugged in since the last look, one after the other; what has no file has no power."""
        for name, moment in sorted(plugged(self._folder).items()):
            if name not in self._children or self._seen.get(name) == moment:
                continue
            if name in self._seen:
                self._supervisor.power_cycle(name)
            else:
                await self._supervisor.start(self._children[name])
            self._seen[name] = moment
            await asyncio.sleep(APART_S)

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)
