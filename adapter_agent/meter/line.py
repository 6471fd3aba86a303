"""Byte streams that a device can be read from: serial line, pseudo-terminal, file, standard input."""

import asyncio
import errno
import os
import stat
import sys
import termios
from collections.abc import AsyncIterator
from types import TracebackType
from typing import ClassVar, Final, Self

from meterwire.errors import MeterspanError

STANDARD_INPUT: Final = "-"
READ_BYTES: Final = 4096
BAUD_RATES: Final = {rate: getattr(termios, f"B{rate}") for rate in (300, 1200, 2400, 4800, 9600, 19200, 38400, 115200)}


class LineError(MeterspanError):
    """The device cannot be opened or has gone; it may come back."""

    code = "line"
    temporary: ClassVar[bool] = True


class Line:
    """An open byte stream. Terminals are set to 8N1 (`even`: 8E1) without any translation; use as a context manager.

    `device` is a path or "-" for standard input; `baud` one of BAUD_RATES. `patient`: opening a named pipe waits for
    its writer. Raises LineError.
    """

    def __init__(
        self, device: str, baud: int = 9600, *, writable: bool = False, patient: bool = False, even: bool = False
    ) -> None:
        self.device = device
        flags = (os.O_RDWR if writable else os.O_RDONLY) | (0 if patient else os.O_NONBLOCK)
        self._fd = _open(device, baud, flags, even)
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)

    @property
    def is_file(self) -> bool:
        """Whether the stream is a file: it ends, and may have grown when it is read again."""
        return self._regular

    @property
    def was_cut(self) -> bool:
        """Whether the file has become shorter than what was read of it: it was begun anew."""
        return self._regular and os.fstat(self._fd).st_size < os.lseek(self._fd, 0, os.SEEK_CUR)

    def skip_to_last(self, count: int) -> None:
        """In a file, go on at its last `count` bytes."""
        if self._regular:
            os.lseek(self._fd, max(0, os.fstat(self._fd).st_size - count), os.SEEK_SET)

    def read(self) -> bytes:
        """The next bytes, waiting for them; empty at the end of the stream."""
        while True:
            try:
                return os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                _wait_readable(self._fd)
            except OSError as error:
                if error.errno == errno.EIO:  # the other end of a pseudo-terminal was closed, a plug was pulled
                    return b""
                raise LineError(f"{self.device} cannot be read ({error.strerror}); check the cable") from None

    def discard(self) -> None:
        """Forget what came in before the line was open, which another line setting may have garbled."""
        if os.isatty(self._fd):
            termios.tcflush(self._fd, termios.TCIFLUSH)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The stream piece by piece, until its end."""
        while True:
            await self._wait(reading=True)
            data = self.read()
            if not data:
                return
            yield data

    async def write(self, data: bytes) -> None:
        """Hand all of `data` to the line. Raises LineError when the other side is gone."""
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                await self._wait(reading=False)
            except OSError as error:
                raise LineError(f"{self.device} cannot be written ({error.strerror}); check the cable") from None

    def close(self) -> None:
        if self._fd > 0:
            os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _wait(self, *, reading: bool) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        add, remove = (loop.add_reader, loop.remove_reader) if reading else (loop.add_writer, loop.remove_writer)
        try:
            add(self._fd, _finish, ready)
        except PermissionError:  # files and some devices are always ready, and epoll refuses them
            await asyncio.sleep(0)
            return
        try:
            await ready
        finally:
            remove(self._fd)


def _open(device: str, baud: int, flags: int, even: bool) -> int:
    if device == STANDARD_INPUT:
        return sys.stdin.fileno()
    try:
        fd = os.open(device, flags | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise LineError(f"{device} cannot be opened ({error.strerror}); check path and permissions") from None
    if os.isatty(fd):
        try:
            _set_raw(fd, baud, even)
        except termios.error as error:
            os.close(fd)
            raise LineError(
                f"{device} cannot be set to {baud} baud 8{'E' if even else 'N'}1 ({error.args[-1]})"
            ) from None
    elif stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise LineError(f"{device} is a folder; name a file or a device")
    return fd


def _set_raw(fd: int, baud: int, even: bool) -> None:
    settings = termios.tcgetattr(fd)
    control = list(settings[6])
    control[termios.VMIN], control[termios.VTIME] = 1, 0
    speed = BAUD_RATES[baud]
    flags = [0, 0, termios.CS8 | termios.CREAD | termios.CLOCAL | (termios.PARENB if even else 0), 0]
    termios.tcsetattr(fd, termios.TCSANOW, [*flags, speed, speed, control])


def _wait_readable(fd: int) -> None:
    import select  # only `read` on a terminal needs it

    select.select([fd], [], [])


def _finish(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
