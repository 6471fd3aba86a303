"""From the bytes of an M-Bus to readings of its meter."""

from collections import Counter
from typing import Final

from adapter_agent.meter.installation import Installation
from adapter_agent.meter.mbus.frame import FrameScanner
from adapter_agent.meter.opening import Opener
from meterwire.reading import Reading
from meterwire.wmbus.wired import ANSWERS

NOWHERE: Final = Installation()


class MbusMeter:
    """Meter interface `mbus`. Requests on the bus, our own or another master's, are passed over."""

    def __init__(self, installation: Installation = NOWHERE) -> None:
        self._scanner = FrameScanner()
        self._opener = Opener(installation, wired=True)

    @property
    def refused(self) -> Counter[str]:
        return self._scanner.refused + self._opener.refused

    def feed(self, data: bytes) -> list[Reading]:
        answers = [frame for frame in self._scanner.feed(data) if frame.control in ANSWERS]
        readings = [self._opener.open(frame.upper) for frame in answers]
        return [reading for reading in readings if reading is not None]

    def close(self) -> list[Reading]:
        self._scanner.reset()
        return []
