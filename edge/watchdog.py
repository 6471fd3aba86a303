"""Tells systemd how the daemon is: ready, stopping, and alive only while every registered task makes progress."""

import logging
import os
import socket
from collections.abc import Callable

from edge.clock import Clock

log = logging.getLogger(__name__)
DEFAULT_INTERVAL_S = 10.0


class Watchdog:
    """Sends `WATCHDOG=1` while all registered tasks have moved within their own time. Harmless without systemd."""

    def __init__(
        self, clock: Clock, notify: Callable[[str], None] | None = None, interval_s: float | None = None
    ) -> None:
        self._clock = clock
        self._notify = notify or sd_notify
        self._interval_s = interval_s if interval_s is not None else _interval_from_environment()
        self._tasks: dict[str, tuple[float, float]] = {}

    def register(self, name: str, within_s: float) -> Callable[[], None]:
        """A task that promises to call the returned function at least every `within_s` seconds."""

        def progress() -> None:
            self._tasks[name] = (self._clock.monotonic(), within_s)

        progress()
        return progress

    def remove(self, name: str) -> None:
        """The task has ended on purpose."""
        self._tasks.pop(name, None)

    def stuck(self) -> list[str]:
        """Names of the tasks that have broken their promise."""
        now = self._clock.monotonic()
        return sorted(name for name, (last, within) in self._tasks.items() if now - last > within)

    def ready(self, status: str = "") -> None:
        self._notify("READY=1" + (f"\nSTATUS={status}" if status else ""))

    def stopping(self) -> None:
        self._notify("STOPPING=1")

    async def run(self) -> None:
        """Until cancelled: one beat per interval, withheld (and logged) while a task is stuck."""
        while True:
            stuck = self.stuck()
            if stuck:
                log.error("no progress: the watchdog is not fed", extra={"stuck": ", ".join(stuck)})
            else:
                self._notify("WATCHDOG=1")
            await self._clock.sleep(self._interval_s)


def sd_notify(message: str) -> None:
    """One datagram to $NOTIFY_SOCKET (sd_notify(3)); nothing happens without it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto(message.encode(), address)
    except OSError as error:
        log.warning("the service manager cannot be told", extra={"error": str(error)})


def _interval_from_environment() -> float:
    """Half of systemd's $WATCHDOG_USEC, as sd_watchdog_enabled(3) advises."""
    try:
        wanted = int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
    except ValueError:
        wanted = 0.0
    return wanted if wanted > 0 else DEFAULT_INTERVAL_S
