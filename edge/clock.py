"""Time as an argument: the daemons ask a Clock, so that tests and simulations can run a day in seconds."""

import asyncio
import heapq
import itertools
import time
from typing import Final, Protocol


class Clock(Protocol):
    """Wall time, monotonic time and waiting. Seconds throughout."""

    def time(self) -> float:
        """Unix time in seconds (UTC); may jump when the machine is set."""

    def monotonic(self) -> float:
        """Seconds that never jump; the zero point means nothing."""

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds of this clock; zero or less only yields."""


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class ScaledClock:
    """Runs `factor` times faster than the machine, from `start` (Unix time) on; for demonstrations of slow things."""

    def __init__(self, factor: float, start: float | None = None) -> None:
        if factor <= 0:
            raise ValueError("a clock runs forward: factor must be above 0")
        self._factor = factor
        self._origin = time.monotonic()
        self._start = time.time() if start is None else start

    def time(self) -> float:
        return self._start + self.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self._origin) * self._factor

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self._factor)


QUIET_TURNS: Final = 2  # what a peer in this process has sent is seen by the second at the latest


class ManualClock:
    """Stands still until `advance` moves it; sleepers wake in order of their time. For deterministic tests."""

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        self._now = start
        self._monotonic = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def time(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP would; monotonic time does not notice."""
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float, settle: int = 20) -> None:
        """Move on by `seconds`, waking each sleeper at its own time.

        After each step the loop turns until nothing is ready any more, but at most `settle` times.
        """
        until = self._monotonic + seconds
        await _turns(settle)
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, future = heapq.heappop(self._sleepers)
            if not future.done():  # else it was given up
                self._step(at)
                future.set_result(None)
                await _turns(settle)
        self._step(until)
        await _turns(settle)

    def _step(self, monotonic: float) -> None:
        self._now += monotonic - self._monotonic
        self._monotonic = monotonic


async def _turns(most: int) -> None:
    ready = getattr(asyncio.get_running_loop(), "_ready", None)  # asyncio tells it nowhere else
    quiet = 0
    for _ in range(most):
        await asyncio.sleep(0)
        quiet = 0 if ready is None or ready else quiet + 1
        if quiet == QUIET_TURNS:
            return
