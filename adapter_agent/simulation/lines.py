"""Wires that a meter can talk into: a pseudo-terminal under a stable name, or a file."""

import array
import fcntl
import logging
import os
import termios
import tty
from pathlib import Path
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)

UART_BUFFER = 1024  # unread octets that a serial port would keep; what is older is lost


class PseudoTerminal:
    """A serial port (9600 8N1, raw) whose far end is ours; `path` is a symbolic link to it.

    Readers may come and go. Nobody reading costs nothing and blocks nothing: unread octets are thrown away as a
    serial port would, so that whoever comes later does not read the past. OSError when it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ours, self._theirs = os.openpty()
        try:
            _make_raw(self._theirs)
            os.set_blocking(self._ours, False)
            self.device = os.ttyname(self._theirs)
            _link(path, self.device)
        except OSError:
            self._release()
            raise

    def write(self, data: bytes) -> None:
        """Put `data` on the wire; what does not fit is lost."""
        if self._ours < 0:
            return
        self._drain()
        if _unread(self._theirs) > UART_BUFFER:
            termios.tcflush(self._theirs, termios.TCIFLUSH)
        try:
            os.write(self._ours, data)
        except BlockingIOError:
            log.debug("a meter's line is full", extra={"device": str(self.path)})

    def close(self) -> None:
        """Take the link away and hang up; readers see the end of the line."""
        if self._ours < 0:
            return
        if self.path.is_symlink() and os.readlink(self.path) == self.device:
            self.path.unlink()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _drain(self) -> None:
        # Whatever a reader sends (a wake-up sequence, a PIN) must not fill the line; our meters do not answer.
        try:
            while os.read(self._ours, 4096):
                pass
        except (BlockingIOError, OSError):
            return

    def _release(self) -> None:
        ours, theirs, self._ours, self._theirs = self._ours, self._theirs, -1, -1
        os.close(ours)
        os.close(theirs)


class FileLine:
    """Appends everything to a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def close(self) -> None:
        self._file.close()


def _make_raw(fd: int) -> None:
    # The far end stays open in this process as well: its settings would be lost with the last reader otherwise.
    tty.setraw(fd)
    attributes = termios.tcgetattr(fd)
    attributes[2] = attributes[2] & ~(termios.CSIZE | termios.PARENB | termios.CSTOPB) | termios.CS8 | termios.CREAD
    attributes[4] = attributes[5] = termios.B9600
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def _unread(fd: int) -> int:
    waiting = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, waiting)
    return waiting[0]


def _link(path: Path, device: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(device)
    fresh.replace(path)
