"""Commissioning: for a while everything happens at once, because somebody waits beside the adapter."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from adapter_agent.waiting import wait_for
from edge.clock import Clock

log = logging.getLogger(__name__)

MINUTE_S: Final = 60.0


class Commissioning:
    """Begins by button, signal, configuration or first power-up, and ends by itself after `minutes` (0: never begins).

    `told` hears True at each begin and False at each end. `episode` counts the begins. Times are monotonic.
    """

    def __init__(self, clock: Clock, minutes: float, told: Callable[[bool], None]) -> None:
        self.episode = 0
        self._clock, self._minutes, self._told = clock, minutes, told
        self._until = clock.monotonic()
        self._moved = asyncio.Event()

    @property
    def seconds_left(self) -> float:
        """0 outside."""
        return max(0.0, self._until - self._clock.monotonic())

    @property
    def active(self) -> bool:
        return self.seconds_left > 0

    def begin(self, reason: str, minutes: float | None = None) -> None:
        """Begin, or begin anew; `minutes` other than configured."""
        minutes = self._minutes if minutes is None else minutes
        if minutes <= 0:
            log.info("commissioning is switched off in the configuration", extra={"reason": reason})
            return
        log.info("commissioning begins", extra={"reason": reason, "minutes": minutes})
        self.episode += 1
        self._until = self._clock.monotonic() + minutes * MINUTE_S
        self._moved.set()
        self._told(True)

    def end(self) -> None:
        """End early."""
        self._until = self._clock.monotonic()
        self._moved.set()

    async def run(self) -> None:
        """Tell the end when it has come. Until cancelled."""
        while True:
            await self._moved.wait()
            while self.active or self._moved.is_set():
                self._moved.clear()
                await wait_for(self._moved, self._clock, self.seconds_left)
            log.info("commissioning is over")
            self._told(False)
