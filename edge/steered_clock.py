"""A clock of our own over the machine's steady one, for a host whose time nobody keeps and which we may not set."""

from typing import Final

from edge.clock import Clock

MAX_SLEW: Final = 500e-6  # s/s: no measured interval is falsified by more


class SteeredClock:
    """Starts with the host's time, and goes on by its monotonic clock alone: whoever sets the host moves it no more."""

    def __init__(self, base: Clock) -> None:
        self._base = base
        self._since = base.monotonic()
        self._offset = base.time() - self._since  # at `_since`, from the monotonic clock
        self._rate = 0.0
        self._left = 0.0  # s that are still to be slewed

    def time(self) -> float:
        now = self._base.monotonic()
        return now + self.offset(now)

    def monotonic(self) -> float:
        return self._base.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._base.sleep(seconds)

    def offset(self, monotonic: float) -> float:
        """Unix time less monotonic time then."""
        passed = max(0.0, monotonic - self._since)
        return self._offset + self._rate * passed + self._slewed(passed)

    @property
    def to_go(self) -> float:
        """Seconds that are still to be slewed, either way."""
        return abs(self._left - self._slewed(self._base.monotonic() - self._since))

    def steer(self, offset: float, rate: float) -> None:
        """Come to be at `offset` (Unix less monotonic time) slowly, and run by `rate` (s/s) from then on."""
        self._settle()
        self._left, self._rate = offset - self._offset, rate

    def step(self, offset: float) -> None:
        """Be at `offset` at once."""
        self._settle()
        self._offset, self._left = offset, 0.0

    def _settle(self) -> None:
        now = self._base.monotonic()
        self._offset, self._left, self._since = self.offset(now), self._left - self._slewed(now - self._since), now

    def _slewed(self, passed: float) -> float:
        return max(-MAX_SLEW * passed, min(MAX_SLEW * passed, self._left))
