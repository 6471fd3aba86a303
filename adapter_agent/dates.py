"""What day it is, as far as it can be believed: keys have validity, and an adapter has no trusted clock of its own."""

import logging
from typing import Final

import msgspec

from adapter_agent.durable import Durable
from edge.clock import Clock
from meterwire.errors import MeterspanError

log = logging.getLogger(__name__)

MEMORY_S: Final = 86_400.0  # how long a stored date helps over a restart
SAVE_S: Final = 3600.0
REFRESH_S: Final = 86_400.0  # the network is asked for the time that often
SLACK_S: Final = 60.0  # a date so little earlier is no step back
TWICE_S: Final = 30.0  # two answers so far apart are two
SETTLE_S: Final = 3600.0  # a trusted machine's clock that was set back counts again after that


class Dates:
    """The trusted date: the network's time carried on by the monotonic clock, or the machine's where it is trusted.

    Over a restart the stored date counts for MEMORY_S, while the machine's own clock runs on plausibly. A date before
    the last one that was trusted would make keys valid again that are over: the network has to tell it twice, TWICE_S
    apart, and a trusted machine's clock has to keep to it for SETTLE_S. Meanwhile the date runs on as before, or there
    is none.
    """

    def __init__(self, clock: Clock, file: Durable, *, trusted: bool = False) -> None:
        self._clock, self._file, self._trusted = clock, file, trusted
        self._offset: float | None = None  # Unix time minus monotonic time
        self._told_at: float | None = None
        self._saved: tuple[float, float] | None = None
        self._floor = 0.0  # the last date that was trusted and stored
        self._machine: float | None = None  # the machine's clock minus monotonic time, where it is trusted
        self._doubted: tuple[float, float] | None = None  # offset of a date not believed, and when it was first seen
        self._recall()

    def now(self) -> float | None:
        """Unix seconds, None while no date can be trusted."""
        if self._offset is not None:
            return self._clock.monotonic() + self._offset
        return self._of_machine() if self._trusted else None

    @property
    def stale(self) -> bool:
        """Whether the network should be asked for the time (again)."""
        return self.older(REFRESH_S)

    def older(self, seconds: float) -> bool:
        """Whether the network told the time longer ago than that, or it is in doubt."""
        if self._doubted is not None or self._told_at is None:
            return True
        return self._clock.monotonic() - self._told_at >= seconds

    def tell(self, unix_s: float, monotonic_s: float) -> None:
        """The network says that it was `unix_s` when the monotonic clock stood at `monotonic_s`."""
        offset = unix_s - monotonic_s
        known = self._floor if self._offset is None else monotonic_s + self._offset
        if unix_s < known - SLACK_S and not self._holds(offset, monotonic_s, TWICE_S):
            return
        self._offset, self._doubted = offset, None
        self._told_at = monotonic_s
        error = self._clock.time() - self._clock.monotonic() - offset
        back = unix_s < self._floor - SLACK_S
        if back or self._saved is None or unix_s - self._saved[0] >= SAVE_S or abs(error - self._saved[1]) > 1.0:
            self._saved = (unix_s, error)
            self._save(unix_s, {"unix": unix_s, "error": error})

    def _of_machine(self) -> float | None:
        now, monotonic = self._clock.time(), self._clock.monotonic()
        known = self._floor if self._machine is None else monotonic + self._machine
        if now < known - SLACK_S and not self._holds(now - monotonic, monotonic, SETTLE_S):
            return None if self._machine is None else known
        self._machine, self._doubted = now - monotonic, None
        if not 0 <= now - self._floor < SAVE_S:
            self._save(now, {"floor": now})
        return now

    def _holds(self, offset: float, monotonic_s: float, seconds: float) -> bool:
        """Whether an earlier date was the same `seconds` ago; another one is remembered in its place."""
        doubted = self._doubted
        if doubted is not None and abs(offset - doubted[0]) <= SLACK_S:
            return monotonic_s - doubted[1] >= seconds
        log.warning("the date is earlier than the last one; it does not count yet", extra={"alarm": "date_back"})
        self._doubted = (offset, monotonic_s)
        return False

    def _save(self, floor: float, content: dict[str, float]) -> None:
        self._floor = floor
        try:
            self._file.write(msgspec.json.encode(content))
        except MeterspanError as error:
            log.warning("the date cannot be kept over a restart: %s", error, extra={"code": error.code})

    def _recall(self) -> None:
        content = self._file.read()
        if content is None:
            return
        try:
            stored = msgspec.json.decode(content, type=dict[str, float])
            self._floor = stored.get("floor", 0.0)
            unix, error = stored["unix"], stored["error"]
        except (msgspec.DecodeError, KeyError):
            return  # a date that cannot be read is no date; the network will tell it
        self._floor = unix
        now = self._clock.time() - error
        if 0 <= now - unix <= MEMORY_S:
            self._offset = now - self._clock.monotonic()
