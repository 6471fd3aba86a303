"""Finds whole telegrams in whatever a serial line delivers, and compares their checksum where they carry one."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Final

MAX_TELEGRAM: Final = 8 * 1024  # bytes from the identification to the check

_SEVEN_BITS: Final = bytes(octet & 0x7F for octet in range(256))  # 7E1 read as 8N1 has parity in the eighth
_BEGIN: Final = re.compile(rb"/[A-Za-z]{3}|\x02")  # `/?!` is a request, perhaps our own echo
_AGAIN: Final = re.compile(rb"[\r\n]/[A-Za-z]{3}")
_END: Final = re.compile(rb"!(?=[\r\n]|[0-9A-Fa-f]{1,4}[\r\n])")  # elsewhere it is a damaged digit 1
_END_MAYBE: Final = re.compile(rb"![0-9A-Fa-f]{0,4}\Z")
_DATA: Final = re.compile(rb"(?:^|[\r\n])\x02")  # a 02 elsewhere is noise
_BLOCK_CHECK: Final = re.compile(rb"[\r\n]*\x03(.)", re.DOTALL)
_CRC: Final = re.compile(rb"([0-9A-Fa-f]{1,4})(?:[\r\n]|\Z)")
_BLOCK_CHECK_MAY_COME: Final = re.compile(rb"[\r\n]{0,4}\x03?")


@dataclass(frozen=True, slots=True)
class Frame:
    """One telegram: its first line with the slash (None: it began with the data) and everything after it up to `!`.

    `check` is "bcc" or "crc" where a checksum came along, which `intact` judges, else None.
    """

    identification: str | None
    data: str
    check: str | None
    intact: bool


class FrameScanner:
    """Cuts telegrams out of a byte stream that may begin, break and go on anywhere.

    `refused` counts what led to no telegram: `cut` (the next one began first, or the stream ended), `length`.
    """

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self._buffer = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The telegrams completed by `data`; memory stays under twice MAX_TELEGRAM."""
        frames: list[Frame] = []
        for at in range(0, len(data), MAX_TELEGRAM):
            self._buffer += data[at : at + MAX_TELEGRAM].translate(_SEVEN_BITS)
            self._scan(frames, ended=False)
        return frames

    def close(self) -> list[Frame]:
        """The stream is at its end: the last telegram may have waited for its checksum."""
        frames: list[Frame] = []
        self._scan(frames, ended=True)
        self.refused["cut"] += _BEGIN.search(self._buffer) is not None
        self._buffer = b""
        return frames

    def _scan(self, frames: list[Frame], *, ended: bool) -> None:
        while (begin := _BEGIN.search(self._buffer)) is not None:
            self._buffer = self._buffer[begin.start() :]
            found = _END.search(self._buffer) or (_END_MAYBE.search(self._buffer) if ended else None)
            end = -1 if found is None else found.start()
            again = _AGAIN.search(self._buffer, 1, end if end >= 0 else len(self._buffer))
            if again is not None:
                self._drop("cut", again.start() + 1)
            elif end < 0 or end > MAX_TELEGRAM:
                if len(self._buffer) <= MAX_TELEGRAM:
                    return
                self._drop("length", 1)
            else:
                used = self._finish(frames, end, ended=ended)
                if not used:
                    return
                self._buffer = self._buffer[used:]
        self._buffer = self._buffer[-3:]  # a slash and two letters may be the begin of one

    def _finish(self, frames: list[Frame], end: int, *, ended: bool) -> int:
        """How many bytes the telegram took; 0 while its checksum may still come."""
        telegram, tail = self._buffer[: end + 1], self._buffer[end + 1 :]
        start = _DATA.search(telegram)
        check = (_CRC if start is None else _BLOCK_CHECK).match(tail)
        if check is None and start is not None and not ended and _BLOCK_CHECK_MAY_COME.fullmatch(tail):
            return 0
        kind, intact = None, True
        if check is not None and start is not None:
            covered = self._buffer[start.end() : end + 1 + check.start(1)]
            kind, intact = "bcc", reduce(xor, covered, 0) == check[1][0]
        elif check is not None:
            kind, intact = "crc", crc16(telegram) == int(check[1], 16)
        frames.append(_frame(telegram[:-1], kind, intact))
        return end + 1 + (check.end() if check is not None else 0)

    def _drop(self, reason: str, count: int) -> None:
        self.refused[reason] += 1
        self._buffer = self._buffer[count:]


def crc16(data: bytes) -> int:
    """CRC-16/ARC (polynomial A001 reflected, start 0): DSMR's, from the slash to the exclamation mark."""
    crc = 0
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def _frame(telegram: bytes, kind: str | None, intact: bool) -> Frame:
    text = telegram.decode("ascii")
    if not text.startswith("/"):
        return Frame(None, text, kind, intact)
    head = re.split("[\r\n]", text, maxsplit=1)
    return Frame(head[0], head[1] if len(head) > 1 else "", kind, intact)
