"""The interface board: reads meters and hands on bytes, readings or, where the keys are here, sealed telegrams."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from adapter_agent.config import Config, Coupling
from adapter_agent.configuration import Configuration
from adapter_agent.coupling.line import CouplingLine
from adapter_agent.coupling.wire import (
    VERSION,
    Changed,
    Chunk,
    Configure,
    Hello,
    Message,
    Nameplate,
    Poll,
    Protected,
    Telegrams,
    Time,
    from_reading,
)
from adapter_agent.inputs import Decoding, read_inputs
from adapter_agent.meter.installation import Installation, Passed
from adapter_agent.source import SealingSource
from edge.clock import Clock
from meterwire.config_records import Registers
from meterwire.errors import MeterspanError
from meterwire.reading import Reading
from meterwire.seal import Key16

log = logging.getLogger(__name__)

HELLO_S: Final = 2.0


class Board:
    """The first half of a divided adapter. `source` samples and seals when the line carries telegrams, else None.

    `meter_key` gives the key with which the meter at an input encrypts.
    """

    def __init__(
        self,
        config: Config,
        coupling: Coupling,
        clock: Clock,
        source: SealingSource | None,
        meter_key: Callable[[int], Key16 | None],
    ) -> None:
        self._inputs, self._carries, self._clock, self._source = config.input, coupling.carries, clock, source
        self._line = CouplingLine(coupling, clock, self._handle)
        interfaces = {one.number: one.interface for one in config.input}
        self._interfaces = tuple(interfaces.items())
        installations = {
            one.number: Installation(
                partial(meter_key, one.number), partial(self._pass_through, one.number), one.meter, one.checks
            )
            for one in config.input
        }
        self._decoding = Decoding(interfaces, self._read, installations)

    async def run(self) -> None:
        """Until cancelled."""
        sink = self._forward if self._carries == "bytes" else self._decoding.feed
        async with asyncio.TaskGroup() as group:
            group.create_task(self._line.run())
            group.create_task(self._greet())
            group.create_task(self._announce())
            group.create_task(read_inputs(self._inputs, self._clock, sink))

    async def _greet(self) -> None:
        while True:
            upcoming = 0 if self._source is None else self._source.upcoming
            self._line.send(Hello(VERSION, self._carries, self._interfaces, upcoming))
            await self._clock.sleep(HELLO_S)

    async def _announce(self) -> None:
        while self._source is not None:
            await self._source.changed.wait()
            self._source.changed.clear()
            self._line.send(Changed())

    def _forward(self, input_: int, data: bytes) -> None:
        self._line.send(Chunk(input_, data))

    def _read(self, input_: int, reading: Reading) -> None:
        if self._source is not None:
            self._source.take(input_, reading)
        else:
            self._line.send(from_reading(input_, reading))

    def _pass_through(self, input_: int, passed: Passed) -> None:
        if self._source is not None:
            self._source.pass_through(input_, passed)
        else:
            self._line.send(Protected(input_, passed.port, passed.payload))

    def _handle(self, message: Message) -> None:
        match message:
            case Poll() if self._source is not None:
                self._answer(message, self._source)
            case Configure() if self._source is not None:
                self._source.configure(Configuration(settings=_settings(message)))
                self._tell_nameplates(self._source)
            case Time() if self._source is not None:
                self._source.time_told(message.unix, self._clock.monotonic())

    def _answer(self, poll: Poll, source: SealingSource) -> None:
        if poll.prove:
            source.want_proof()
        source.proof_arrived(poll.proven)
        try:
            telegrams = source.seal(poll.limit)
        except MeterspanError as error:
            log.error("no telegram can be sealed: %s", error)
            telegrams = []
        answer = tuple((one.counter, one.payload) for one in telegrams)
        proofs = {one.counter: one.proves for one in telegrams if one.proves}
        protected = tuple((one.port, one.payload) for one in source.passing())
        self._line.send(Telegrams(poll.number, answer, source.upcoming, proofs, protected))

    def _tell_nameplates(self, source: SealingSource) -> None:
        exponents = source.resolutions()
        for input_ in source.nameplates.inputs:
            plate = source.nameplates.of(input_)
            if plate is not None:
                resolutions = {number & 31: exponent for number, exponent in exponents.items() if number >> 5 == input_}
                self._line.send(Nameplate(input_, int(plate.kind), plate.octets, resolutions))


def _settings(message: Configure) -> tuple[Registers, ...]:
    return tuple(Registers(input_, indexes) for input_, indexes in message.registers.items())
