"""The SML transport layer: finds whole, undamaged frames in whatever a serial line delivers."""

import re
from collections import Counter
from dataclasses import dataclass

from adapter_agent.meter.sml.crc import CrcKind, kind_of

MAX_FRAME = 8 * 1024  # bytes of one frame, start and end sequence included
MAX_STARTS = 8  # start sequences of one stretch of bytes that may each still turn out to be the real one

_ESCAPE = b"\x1b\x1b\x1b\x1b"
_START = _ESCAPE + b"\x01\x01\x01\x01"
_MARK = re.compile(rb"\x1b{4}(?:(?P<start>\x01{4})|(?P<end>\x1a))")
_END_TAIL = 3  # number of fill bytes, CRC


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose transport CRC is right: its messages, escapes undone and fill bytes removed.

    `offset` and `length` tell where it stood in the stream (bytes since the scanner was made).
    """

    payload: bytes
    crc: CrcKind
    offset: int
    length: int


class FrameScanner:
    """Cuts frames out of a byte stream that may begin, break and go on anywhere.

    A new start sequence ends a broken frame at once. `refused` counts, per reason, the start sequences that led to
    no frame: `cut` (the next frame began first), `crc`, `fill` (impossible number of fill bytes), `length`.
    """

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self._buffer = bytearray()
        self._base = 0  # stream offset of the buffer's first byte
        self._scanned = 0  # marks before this index are dealt with
        self._starts: list[int] = []

    def feed(self, data: bytes) -> list[Frame]:
        """The frames completed by `data`. Work is linear in the bytes fed; memory stays under twice MAX_FRAME."""
        frames: list[Frame] = []
        for at in range(0, len(data), MAX_FRAME):
            self._buffer += data[at : at + MAX_FRAME]
            self._scan(frames)
            self._forget()
        return frames

    def close(self) -> None:
        """The stream is at its end: a frame still open counts as cut."""
        self._refuse("cut", len(self._starts))
        self._base += len(self._buffer)
        self._buffer.clear()
        self._scanned = 0

    def _scan(self, frames: list[Frame]) -> None:
        while (mark := _MARK.search(self._buffer, self._scanned)) is not None:
            self._drop_overlong(mark.start() + len(_ESCAPE) + 4)
            if mark["start"] is not None:
                self._begin(mark.start())
                self._scanned = mark.end()
            elif not self._starts or self._is_literal(mark.start()):
                self._scanned = mark.end()
            elif len(self._buffer) < mark.end() + _END_TAIL:
                self._scanned = mark.start()
                return
            else:
                frame = self._finish(mark.end() + _END_TAIL)
                self._scanned = mark.end() if frame is None else mark.end() + _END_TAIL
                if frame is not None:
                    frames.append(frame)
        self._scanned = max(self._scanned, len(self._buffer) - len(_START) + 1)
        self._drop_overlong(len(self._buffer) + 1)

    def _begin(self, at: int) -> None:
        if not self._is_literal(at):
            self._refuse("cut", len(self._starts))
        elif len(self._starts) == MAX_STARTS:
            self._refuse("cut", 1)
        self._starts.append(at)

    def _is_literal(self, at: int) -> bool:
        """Whether the four 1B at `at` may belong to a doubled, that is literal, escape sequence of an open frame."""
        if not self._starts:
            return False
        first = at
        while first > self._starts[0] and self._buffer[first - 1] == 0x1B:
            first -= 1
        return (at + len(_ESCAPE) - first) % 8 < len(_ESCAPE)

    def _finish(self, end: int) -> Frame | None:
        reason = "crc"
        for index, start in enumerate(self._starts):
            raw = bytes(self._buffer[start:end])
            kind = kind_of(raw[:-2], raw[-2:])
            if kind is None:
                continue
            body, fill = raw[len(_START) : -len(_ESCAPE) - 4], raw[-3]
            if fill > 3 or not body.endswith(bytes(fill)):
                reason = "fill"
                continue
            self._refuse("cut", index)
            self._starts.clear()
            payload = body[: len(body) - fill].replace(_ESCAPE * 2, _ESCAPE)
            return Frame(payload, kind, self._base + start, end - start)
        self._refuse(reason, len(self._starts))
        return None

    def _drop_overlong(self, end: int) -> None:
        while self._starts and end - self._starts[0] > MAX_FRAME:
            self._refuse("length", 1)

    def _refuse(self, reason: str, count: int) -> None:
        if count:
            self.refused[reason] += count
            del self._starts[:count]

    def _forget(self) -> None:
        keep = min(self._starts[0] if self._starts else self._scanned, self._scanned)
        del self._buffer[:keep]
        self._base += keep
        self._scanned -= keep
        self._starts = [start - keep for start in self._starts]
