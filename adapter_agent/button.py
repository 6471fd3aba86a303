"""The commissioning button: a file that holds 0 or 1, such as a GPIO line's value, looked at a few times a second."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge.clock import Clock

log = logging.getLogger(__name__)

LOOK_S: Final = 0.2
READ_BYTES: Final = 16


async def watch(file: Path, clock: Clock, pressed: Callable[[], None]) -> None:
    """Call `pressed` at each change from 0 to 1, until cancelled. Held down at the start is no change."""
    before = None
    while True:
        level = _level(file)
        if before is False and level:
            log.info("the button was pressed", extra={"button": str(file)})
            pressed()
        before = before if level is None else level
        await clock.sleep(LOOK_S)


def _level(file: Path) -> bool | None:
    """None while it cannot be read: the line may be exported later than this process starts."""
    try:
        with file.open("rb") as content:
            text = content.read(READ_BYTES).strip()
    except OSError:
        return None
    return {b"1": True, b"0": False}.get(text)
