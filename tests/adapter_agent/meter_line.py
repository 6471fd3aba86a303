"""A meter's end of a real line: what it says is there to be read before the loop turns again."""

import fcntl
import os
import pty
import select
import struct
import termios
import time

CARRIED_S = 20.0  # the kernel has carried the bytes long before that, or the line is full


class MeterLine:
    """A pseudo-terminal whose `device` the adapter opens. Before it has set the line, what the meter says is lost;
    afterwards it waits to be read.
    """

    def __init__(self) -> None:
        self._meter, self._adapter = pty.openpty()
        self.device = os.ttyname(self._adapter)

    def say(self, data: bytes) -> None:
        """Push `data`. Nobody reads until the kernel has brought it over, as the loop does not turn meanwhile."""
        if not self._set:
            return
        waiting, until = self._unread() + os.write(self._meter, data), time.monotonic() + CARRIED_S
        while self._unread() < waiting:
            assert time.monotonic() < until, f"{waiting} bytes do not fit the line: nobody reads it"
            select.select([self._adapter], [], [], CARRIED_S)

    @property
    def _set(self) -> bool:
        return not termios.tcgetattr(self._adapter)[3] & termios.ICANON

    def _unread(self) -> int:
        [count] = struct.unpack("i", fcntl.ioctl(self._adapter, termios.FIONREAD, bytes(4)))
        return count

    def close(self) -> None:
        os.close(self._meter)
        os.close(self._adapter)
