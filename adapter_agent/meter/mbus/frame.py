"""Finds answers of meters in whatever a bus delivers: long frames and acknowledgements, echoes and garbage between."""

from collections import Counter
from typing import Final

from meterwire.errors import FormatError
from meterwire.wmbus import LongFrame, decode_long
from meterwire.wmbus.wired import LEAST, LONG_START, OVERHEAD, STOP

_HEAD: Final = 4


class FrameScanner:
    """Restarts at every possible start; a damaged frame costs itself only. `refused` counts damage by reason."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[LongFrame]:
        """The long frames completed by `data`."""
        self._buffer += data
        frames: list[LongFrame] = []
        while (at := self._buffer.find(LONG_START)) >= 0:
            del self._buffer[:at]
            if len(self._buffer) < _HEAD:
                return frames
            if not _is_head(self._buffer):
                del self._buffer[0]
                continue
            end = self._buffer[1] + OVERHEAD
            if len(self._buffer) < end:
                return frames
            frames += self._taken(end)
        self._buffer.clear()
        return frames

    def reset(self) -> None:
        """Nothing more comes of what was begun."""
        if self._buffer:
            self.refused["cut"] += 1
        self._buffer.clear()

    def _taken(self, end: int) -> list[LongFrame]:
        candidate = bytes(self._buffer[:end])
        try:
            frame = decode_long(candidate)
        except FormatError:
            self.refused["checksum" if candidate[-1] == STOP else "damaged"] += 1
            del self._buffer[0]
            return []
        del self._buffer[:end]
        return [frame]


def _is_head(buffer: bytearray) -> bool:
    return buffer[3] == LONG_START and buffer[1] == buffer[2] and buffer[1] >= LEAST
