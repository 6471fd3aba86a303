"""What day it is, as far as it can be believed: keys have validity, and an adapter has no trusted clock of its own."""

from typing import Final

import msgspec

from adapter_agent.durable import Durable
from edge.clock import Clock

MEMORY_S: Final = 86_400.0  # how long a stored date helps over a restart
SAVE_S: Final = 3600.0
REFRESH_S: Final = 86_400.0  # the network is asked for the time that often


class Dates:
    """The trusted date: the network's time carried on by the monotonic clock, or the machine's where it is trusted.

    Over a restart the stored date counts for MEMORY_S, while the machine's own clock runs on plausibly.
    """

    def __init__(self, clock: Clock, file: Durable, *, trusted: bool = False) -> None:
        self._clock, self._file, self._trusted = clock, file, trusted
        self._offset: float | None = None  # Unix time minus monotonic time
        self._told_at: float | None = None
        self._saved: tuple[float, float] | None = None
        self._recall()

    def now(self) -> float | None:
        """Unix seconds, None while no date can be trusted."""
        if self._offset is not None:
            return self._clock.monotonic() + self._offset
        return self._clock.time() if self._trusted else None

    @property
    def stale(self) -> bool:
        """Whether the network should be asked for the time (again)."""
        return self._told_at is None or self._clock.monotonic() - self._told_at >= REFRESH_S

    def tell(self, unix_s: float, monotonic_s: float) -> None:
        """The time was `unix_s` when the monotonic clock stood at `monotonic_s`."""
        self._offset = unix_s - monotonic_s
        self._told_at = monotonic_s
        error = self._clock.time() - self._clock.monotonic() - self._offset
        if self._saved is None or unix_s - self._saved[0] >= SAVE_S or abs(error - self._saved[1]) > 1.0:
            self._saved = (unix_s, error)
            self._file.write(msgspec.json.encode({"unix": unix_s, "error": error}))

    def _recall(self) -> None:
        content = self._file.read()
        if content is None:
            return
        try:
            stored = msgspec.json.decode(content, type=dict[str, float])
            unix, error = stored["unix"], stored["error"]
        except (msgspec.DecodeError, KeyError):
            return  # a date that cannot be read is no date; the network will tell it
        now = self._clock.time() - error
        if 0 <= now - unix <= MEMORY_S:
            self._offset = now - self._clock.monotonic()
