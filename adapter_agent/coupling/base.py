"""The base board's view of the coupling: meters, or whole telegrams, at the other end of the line."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Final

from adapter_agent.config import Coupling
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
    Read,
    Telegrams,
    Time,
    to_reading,
)
from adapter_agent.dates import Dates
from adapter_agent.inputs import Decoding
from adapter_agent.meter import INTERFACES
from adapter_agent.meter.installation import Passed
from adapter_agent.nameplates import Nameplates
from adapter_agent.sealing import Sealed
from adapter_agent.source import SealingParts, SealingSource
from adapter_agent.waiting import wait_for
from edge.clock import Clock
from meterwire.errors import FormatError

log = logging.getLogger(__name__)

ANSWER_S: Final = 5.0
BOARD: Final = "board"  # where a telegram was found to be sealed


class CoupledMeters(SealingSource):
    """The board sends bytes or readings; sampling and sealing happen here."""

    def __init__(self, config: Coupling, clock: Clock, parts: SealingParts) -> None:
        super().__init__(parts)
        self._config = config
        self._line = CouplingLine(config, clock, self._handle)
        self._decoding = Decoding({}, self.take)
        self._interfaces: dict[int, str] = {}

    async def run(self) -> None:
        await self._line.run()

    def health(self) -> Mapping[str, object]:
        return {"readings": self._decoding.readings, "refused": dict(self._decoding.refused + self._line.refused)}

    def _handle(self, message: Message) -> None:
        match message:
            case Hello():
                self._greet(message)
            case Chunk() if self._config.carries == "bytes":
                self._decoding.feed(message.input, message.data)
            case Read() if self._config.carries == "reading":
                try:
                    self.take(message.input, to_reading(message))
                except FormatError as error:
                    log.warning("a reading of the interface board was refused: %s", error)
            case Protected() if self._config.carries == "reading":
                self.pass_through(message.input, Passed(message.port, message.payload, BOARD))

    def _greet(self, hello: Hello) -> None:
        interfaces = {number: name for number, name in hello.inputs if name in INTERFACES}
        if agrees(hello, self._config):
            self.nameplates.expect(interfaces)
        if agrees(hello, self._config) and interfaces != self._interfaces:
            self._interfaces = interfaces
            installations = {number: self.installation(number) for number in interfaces}
            self._decoding = Decoding(interfaces, self.take, installations)


class CoupledTelegrams:
    """The board samples and seals; this side only asks for telegrams and sends them. It holds no inner key."""

    def __init__(self, config: Coupling, clock: Clock, dates: Dates, nameplates: Nameplates) -> None:
        self.changed = asyncio.Event()
        self.nameplates = nameplates
        self._config, self._clock, self._dates = config, clock, dates
        self._line = CouplingLine(config, clock, self._handle)
        self._upcoming = 0
        self._number = 0
        self._answer: Telegrams | None = None
        self._answered = asyncio.Event()
        self._prove, self._proven = True, set[int]()
        self._configure = Configure({})

    @property
    def upcoming(self) -> int:
        return self._upcoming

    async def run(self) -> None:
        await self._line.run()

    @property
    def proof_due(self) -> bool:
        return False  # the board adds them by itself

    async def collect(self, limit: int, *, proving: bool = True) -> list[Sealed]:
        self.changed.clear()
        self._number += 1
        self._answer = None
        self._answered.clear()
        prove, proven = self._prove, tuple(sorted(self._proven))
        self._line.send(Poll(self._number, limit, prove, proven))
        if not await wait_for(self._answered, self._clock, ANSWER_S) or self._answer is None:
            log.warning("the interface board does not answer; no telegram")
            return []
        self._prove = self._prove and not prove
        self._proven -= set(proven)
        proofs = self._answer.proofs
        return [Sealed(counter, payload, proofs.get(counter, ())) for counter, payload in self._answer.telegrams]

    def passing(self) -> list[Passed]:
        return [] if self._answer is None else [Passed(*one, BOARD) for one in self._answer.protected]

    def resolutions(self) -> Mapping[int, int]:
        return self.nameplates.resolutions()

    def configure(self, configuration: Configuration) -> None:
        self._configure = Configure(dict(configuration.registers))
        self._line.send(self._configure)

    def want_proof(self) -> None:
        self._prove = True
        self._proven.clear()

    def proof_arrived(self, inputs: Iterable[int]) -> None:
        self._proven |= set(inputs)

    def time_told(self, unix_s: float, monotonic_s: float) -> None:
        self._dates.tell(unix_s, monotonic_s)
        self._tell_time()

    def health(self) -> Mapping[str, object]:
        return {"refused": dict(self._line.refused), "dropped": self._line.dropped}

    def _handle(self, message: Message) -> None:
        match message:
            case Hello() if agrees(message, self._config):
                self._upcoming = message.upcoming
                self.nameplates.expect(number for number, _ in message.inputs)
                self._line.send(self._configure)
                self._tell_time()
            case Nameplate():
                self.nameplates.tell(message.input, message.kind, message.octets, message.resolutions)
            case Telegrams() if message.number == self._number:
                self._upcoming = message.upcoming
                self._answer = message
                self._answered.set()
            case Changed():
                self.changed.set()

    def _tell_time(self) -> None:
        now = self._dates.now()
        if now is not None:
            self._line.send(Time(now))


def agrees(hello: Hello, config: Coupling) -> bool:
    """Whether the board speaks our version and carries what this side expects; the log says what to change."""
    if hello.version != VERSION:
        log.error("the interface board speaks version %s of the coupling, this side %s", hello.version, VERSION)
    elif hello.carries != config.carries:
        log.error(
            "the interface board carries %s, this side expects %s; set both [coupling] carries alike",
            hello.carries,
            config.carries,
        )
    return hello.version == VERSION and hello.carries == config.carries
