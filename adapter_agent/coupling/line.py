"""One end of the coupling line: opened again whenever it breaks, never blocking the rest of the board."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from adapter_agent.config import Coupling
from adapter_agent.coupling.wire import Message, Unpacker, pack
from adapter_agent.meter.line import Line, LineError
from edge.clock import Clock

log = logging.getLogger(__name__)

MAX_WAITING: Final = 64  # messages; the oldest give way, for a fresh reading is worth more than an old one
REOPEN_S: Final = (0.5, 30.0)


class CouplingLine:
    """Sends and receives messages. `dropped` counts those that the line could not take in time."""

    def __init__(self, config: Coupling, clock: Clock, handler: Callable[[Message], None]) -> None:
        self.dropped = 0
        self._config, self._clock, self._handler = config, clock, handler
        self._waiting: deque[bytes] = deque()
        self._something = asyncio.Event()
        self._unpacker = Unpacker()

    @property
    def refused(self) -> Counter[str]:
        """Frames that came damaged, by reason."""
        return self._unpacker.refused

    def send(self, message: Message) -> None:
        """Put a message on its way. Raises LimitExceeded for one that is too long."""
        if len(self._waiting) == MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(pack(message))
        self._something.set()

    async def run(self) -> None:
        """Until cancelled."""
        first, longest = REOPEN_S
        pause, told = first, False
        while True:
            try:
                with Line(self._config.device, self._config.baud, writable=True) as line:
                    line.discard()
                    log.info("the coupling line is open", extra={"device": self._config.device})
                    pause, told = first, False
                    await self._use(line)
                    problem = f"{self._config.device} has ended"
            except LineError as error:
                problem = str(error)
            if not told:
                log.warning("coupling: %s; trying again", problem)
                told = True
            await self._clock.sleep(pause)
            pause = min(longest, pause * 2)

    async def _use(self, line: Line) -> None:
        writer = asyncio.create_task(self._write(line))
        reader = asyncio.create_task(self._read(line))
        try:
            done, _ = await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (writer, reader):
                task.cancel()
            await asyncio.gather(writer, reader, return_exceptions=True)

    async def _read(self, line: Line) -> None:
        async for data in line.chunks():
            for message in self._unpacker.feed(data):
                self._handler(message)

    async def _write(self, line: Line) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            while self._waiting:
                await line.write(self._waiting.popleft())
