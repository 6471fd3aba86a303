"""Meter interface `wmbus`: frames of wireless M-Bus meters as a receiver at the interface board hands them on."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from adapter_agent.meter.installation import Installation
from adapter_agent.meter.opening import Opener
from meterwire.errors import FormatError
from meterwire.reading import Reading
from meterwire.wmbus import LinkFrame, decode_link
from meterwire.wmbus.link import CONTROLS, HEAD, MAX_LENGTH, from_a, from_b, length_a

NOWHERE: Final = Installation()
LONGEST: Final = length_a(MAX_LENGTH)  # octets of a frame on the line

_Form = tuple[Callable[[int], int], Callable[[bytes], bytes]]  # L -> octets on the line, and to a frame without checks
_CHECKED: Final[tuple[_Form, ...]] = ((length_a, from_a), (lambda counted: counted + 1, from_b))
_BARE: Final[tuple[_Form, ...]] = ((lambda counted: counted + 1, bytes),)


class WmbusMeter:
    """Meter interface `wmbus`. Of the many meters in reach only one counts; see `Installation`."""

    def __init__(self, installation: Installation = NOWHERE) -> None:
        self._scanner = FrameScanner(checks=installation.checks)
        self._opener = Opener(installation, wired=False)

    @property
    def refused(self) -> Counter[str]:
        return self._scanner.refused + self._opener.refused

    def feed(self, data: bytes) -> list[Reading]:
        readings = [self._opener.open(frame.upper, frame.address) for frame in self._scanner.feed(data)]
        return [reading for reading in readings if reading is not None]

    def close(self) -> list[Reading]:
        self._scanner.close()
        return []


class FrameScanner:
    """Finds frames in formats A and B by their checksums; with `checks` false, frames without any by their shape.

    `refused` counts stretches of octets that belong to no frame.
    """

    def __init__(self, *, checks: bool) -> None:
        self.refused: Counter[str] = Counter()
        self._checks = checks
        self._forms = _CHECKED if checks else _BARE
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[LinkFrame]:
        """The frames completed by `data`."""
        self._buffer += data
        frames = []
        while (found := self._next()) is not None:
            at, end, frame = found
            self._drop(at)
            del self._buffer[: end - at]
            frames.append(frame)
        self._drop(len(self._buffer) - LONGEST)
        return frames

    def close(self) -> None:
        """The stream has ended: what was begun is lost."""
        self._drop(len(self._buffer))

    def _next(self) -> tuple[int, int, LinkFrame] | None:
        """(begin, end, frame) of the first whole frame."""
        for at in range(len(self._buffer) - HEAD):
            if self._buffer[at] < HEAD or self._buffer[at + 1] not in CONTROLS:
                continue
            for size_of, bare in self._forms:
                end = at + size_of(self._buffer[at])
                if end <= len(self._buffer):
                    try:
                        return at, end, decode_link(bare(bytes(self._buffer[at:end])))
                    except FormatError:
                        continue
            if not self._checks:
                return None  # without checksums, nothing inside a frame that has begun may pass for one
        return None

    def _drop(self, count: int) -> None:
        if count > 0:
            self.refused["noise"] += 1
            del self._buffer[:count]
