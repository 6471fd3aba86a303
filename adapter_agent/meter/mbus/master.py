"""The master of a wired M-Bus (EN 13757-2): asks one meter for its data, asks again, gives up in time."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Self

from adapter_agent.meter.line import Line
from adapter_agent.meter.mbus.frame import FrameScanner
from adapter_agent.waiting import wait_for
from edge.clock import Clock
from meterwire.errors import FormatError
from meterwire.wmbus import LongFrame
from meterwire.wmbus.wired import (
    ACKNOWLEDGED,
    ANSWERS,
    FRAME_COUNT_BIT,
    MOST,
    OVERHEAD,
    REQ_UD2,
    SELECT,
    SELECTED,
    SND_NKE,
    SND_UD,
    TEST,
    short,
)

log = logging.getLogger(__name__)

TRIES: Final = 3  # a request and two repetitions
BITS_PER_OCTET: Final = 11  # 8E1
ANSWER_BITS: Final = 330  # a meter begins to answer within so many bit times …
ANSWER_S: Final = 0.05  # … and this
SPARE_S: Final = 0.25  # what level converters and operating systems hold back
MAX_PRIMARY: Final = 250

_SECONDARY: Final = re.compile("[0-9A-Fa-f]{16}")


@dataclass(frozen=True, slots=True)
class Station:
    """A meter's address: `primary` 0 to 250, 254 (whoever is there), or `secondary`, 8 octets as on the bus."""

    primary: int = TEST
    secondary: bytes = b""

    @classmethod
    def parse(cls, text: str) -> Self:
        """`5`, `254`, or 16 hex digits: number, maker, version, type, F standing for any digit. FormatError."""
        if _SECONDARY.fullmatch(text):
            number, rest = bytes.fromhex(text[:8])[::-1], bytes.fromhex(text[8:])
            return cls(SELECTED, number + rest)
        if text.isascii() and text.isdecimal() and len(text) <= 3 and (int(text) <= MAX_PRIMARY or int(text) == TEST):
            return cls(int(text))
        raise FormatError(f"'{text[:32]}' is no M-Bus address: 0 to {MAX_PRIMARY}, {TEST}, or 16 hex digits")

    def __str__(self) -> str:
        return self.secondary[3::-1].hex() + self.secondary[4:].hex() if self.secondary else str(self.primary)


class Master:
    """Asks one meter every `every_s` seconds over an open, writable line of `baud`."""

    def __init__(self, station: Station, clock: Clock, baud: int, every_s: float) -> None:
        self._station, self._clock, self._every_s = station, clock, every_s
        self._baud = baud
        self._silent = False

    async def answers(self, line: Line) -> AsyncIterator[bytes]:
        """The meter's answers as long frames, each checked, until the line ends. Raises LineError."""
        ear = _Ear(line)
        listening = asyncio.create_task(ear.listen())
        try:
            while not listening.done():
                begun = self._clock.monotonic()
                answer = await self._ask(line, ear)
                if answer is not None or not listening.done():
                    self._tell(answer is None)
                if answer is not None:
                    yield answer.encode()
                await self._pause(begun + self._every_s - self._clock.monotonic(), listening)
            listening.result()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _pause(self, seconds: float, listening: asyncio.Task[None]) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({sleeping, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()

    async def _ask(self, line: Line, ear: "_Ear") -> LongFrame | None:
        """Reset or select the meter, which lets it begin with its first telegram, then take its data."""
        if not await self._say(line, ear, self._opening(), ear.acknowledged, 1):
            return None
        request = short(REQ_UD2 | FRAME_COUNT_BIT, self._station.primary)
        return ear.frame if await self._say(line, ear, request, ear.framed, MOST + OVERHEAD) else None

    def _opening(self) -> bytes:
        if self._station.secondary:
            return LongFrame(SND_UD, SELECTED, bytes((SELECT,)) + self._station.secondary).encode()
        return short(SND_NKE, self._station.primary)

    async def _say(self, line: Line, ear: "_Ear", request: bytes, answered: asyncio.Event, longest: int) -> bool:
        """Whether `request` was answered, by at most `longest` octets, at one of several tries."""
        octets = len(request) + longest
        within_s = ANSWER_S + SPARE_S + (ANSWER_BITS + BITS_PER_OCTET * octets) / self._baud
        for _ in range(TRIES):
            ear.begin()
            await line.write(request)
            if await wait_for(answered, self._clock, within_s):
                return True
        return False

    def _tell(self, silent: bool) -> None:
        if silent and not self._silent:
            log.warning("the M-Bus meter %s does not answer; check bus, address and baud rate", self._station)
        elif self._silent and not silent:
            log.info("the M-Bus meter %s answers again", self._station)
        self._silent = silent


class _Ear:
    """What has come since the last request; echoes of the requests themselves are passed over."""

    def __init__(self, line: Line) -> None:
        self.acknowledged, self.framed = asyncio.Event(), asyncio.Event()
        self.frame: LongFrame | None = None
        self._line, self._scanner = line, FrameScanner()

    def begin(self) -> None:
        """A request is about to go out: what comes from now on answers it."""
        self._scanner.reset()
        self.frame = None
        self.acknowledged.clear()
        self.framed.clear()

    async def listen(self) -> None:
        async for data in self._line.chunks():
            if data[-1] == ACKNOWLEDGED:
                self.acknowledged.set()
            for frame in self._scanner.feed(data):
                if frame.control in ANSWERS:
                    self.frame = frame
                    self.framed.set()
