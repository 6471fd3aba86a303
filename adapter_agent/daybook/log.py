"""One day's telegrams in a file that only grows; whatever a power failure leaves of it can be read.

Each record: length 1, counter 4, port 1, payload, CRC-32 4. The telegrams are sealed already, as they were on the air.
"""

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

MAX_BYTES: Final = 1024 * 1024  # of one day: a telegram of 40 bytes every four seconds
MAX_RECORDS: Final = 20_000
_HEAD: Final = 6
_CHECK: Final = 4


@dataclass(frozen=True, slots=True)
class Kept:
    """A telegram as it was sent, with its full counter."""

    counter: int
    port: int
    payload: bytes

    def encode(self) -> bytes:
        """The record. ValueError for a payload of over 255 bytes, which no frame carries."""
        body = bytes([len(self.payload)]) + self.counter.to_bytes(4) + bytes([self.port]) + self.payload
        return body + zlib.crc32(body).to_bytes(4)


class DayLog:
    """An open day. A record that a power failure cut is taken away before anything is added."""

    def __init__(self, path: Path) -> None:
        """OSError."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            content = os.pread(self._file, MAX_BYTES, 0)
            records = list(records_of(content))
            self.count, self.last = len(records), records[-1].counter if records else -1
            self._end = sum(_HEAD + len(one.payload) + _CHECK for one in records)
            self._cut()
        except BaseException:
            os.close(self._file)
            raise

    @property
    def full(self) -> bool:
        """Whether there is no room for another telegram."""
        return self.count >= MAX_RECORDS or self._end + _HEAD + 255 + _CHECK > MAX_BYTES

    def add(self, kept: Kept) -> None:
        """Append; not yet durable. OSError, and then the file is as before."""
        octets = kept.encode()
        try:
            written = 0
            while written < len(octets):
                written += os.pwrite(self._file, octets[written:], self._end + written)
        except OSError:
            self._cut()  # or what comes after half a record could never be read
            raise
        self._end += len(octets)
        self.count, self.last = self.count + 1, kept.counter

    def sync(self) -> None:
        """Make durable what was added. OSError."""
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)

    def _cut(self) -> None:
        os.ftruncate(self._file, self._end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def records_of(content: bytes) -> Iterator[Kept]:
    """The records up to the first that is cut off, damaged or out of order."""
    place, last = 0, -1
    while place < len(content):
        end = place + _HEAD + content[place]
        body, check = content[place:end], content[end : end + _CHECK]
        if len(check) < _CHECK or zlib.crc32(body) != int.from_bytes(check):
            return
        kept = Kept(int.from_bytes(body[1:5]), body[5], body[_HEAD:])
        if kept.counter <= last:
            return
        yield kept
        place, last = end + _CHECK, kept.counter
