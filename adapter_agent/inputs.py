"""The meters at this device: their bytes for as long as it runs, and the readings in them."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

from adapter_agent.config import Input
from adapter_agent.meter import Installation, MeterInterface, decoder
from adapter_agent.meter.line import Line, LineError
from adapter_agent.meter.mbus import Master, Station
from edge.clock import Clock
from meterwire.reading import Reading

log = logging.getLogger(__name__)

REOPEN_S: Final = (1.0, 30.0)
FOLLOW_S: Final = 1.0  # how often a file is looked at again
RECENT: Final = 16 * 1024  # bytes of a file that are read at first: its last readings, not its history
ASKED: Final = "mbus"  # meters that speak only when they are asked

ReadingSink: TypeAlias = Callable[[int, Reading], None]
ByteSink: TypeAlias = Callable[[int, bytes], None]


class Decoding:
    """One decoder per input; readings go to `sink`. `installations`: what meters that encrypt by themselves need."""

    def __init__(
        self,
        interfaces: Mapping[int, str],
        sink: ReadingSink,
        installations: Mapping[int, Installation] = MappingProxyType({}),
    ) -> None:
        self._meters: dict[int, MeterInterface] = {
            number: decoder(name, installations.get(number, Installation())) for number, name in interfaces.items()
        }
        self._sink = sink
        self.readings = 0

    def feed(self, input_: int, data: bytes) -> None:
        """Bytes of an input; those of one that is not known are passed over."""
        meter = self._meters.get(input_)
        for reading in meter.feed(data) if meter is not None else ():
            self.readings += 1
            self._sink(input_, reading)

    @property
    def refused(self) -> Counter[str]:
        """Telegrams of the meters that were not used, by reason."""
        return sum((Counter(meter.refused) for meter in self._meters.values()), Counter())


async def read_inputs(inputs: Sequence[Input], clock: Clock, sink: ByteSink) -> None:
    """Hand the bytes of all inputs to `sink`, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for one in inputs:
            group.create_task(_read(one, clock, sink))


async def _read(one: Input, clock: Clock, sink: ByteSink) -> None:
    async for data in _bytes(one, clock):
        sink(one.number, data)


async def _bytes(one: Input, clock: Clock) -> AsyncIterator[bytes]:
    """The bytes of one input, its line opened again whenever it breaks; a file is followed as it grows."""
    first, longest = REOPEN_S
    pause, told = first, False
    while True:
        try:
            with _open(one) as line:
                line.skip_to_last(RECENT)
                async for data in _said(one, line, clock):
                    pause, told = first, False
                    yield data
                while line.is_file and not line.was_cut:
                    await clock.sleep(FOLLOW_S)
                    async for data in line.chunks():
                        yield data
                problem = f"{one.device} has ended"
        except LineError as error:
            problem = str(error)
        if not told:
            log.warning("input %s: %s; trying again", one.number, problem)
            told = True
        await clock.sleep(pause)
        pause = min(longest, pause * 2)


def _open(one: Input) -> Line:
    asked = one.interface == ASKED
    return Line(one.device, one.baud, writable=asked, even=asked)


def _said(one: Input, line: Line, clock: Clock) -> AsyncIterator[bytes]:
    """What the meter pushes, or answers where it has to be asked."""
    if one.interface != ASKED:
        return line.chunks()
    return Master(Station.parse(one.address), clock, one.baud, one.every_s).answers(line)
