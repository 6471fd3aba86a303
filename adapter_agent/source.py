"""Where sealed telegrams come from: this process, or the interface board at the other end of the coupling line."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from adapter_agent.config import Input
from adapter_agent.dates import Dates
from adapter_agent.inputs import Decoding, read_inputs
from adapter_agent.sampler import Sampler
from adapter_agent.sealing import Sealed, Sealing
from edge.clock import Clock
from meterwire.reading import Reading


class Source(Protocol):
    """Telegrams on request. `changed` is set when a request before the next regular one is worth it."""

    changed: asyncio.Event

    @property
    def upcoming(self) -> int:
        """The inner counter that the next telegram uses."""
        ...

    async def run(self) -> None:
        """Read the meters until cancelled."""
        ...

    async def collect(self, limit: int) -> list[Sealed]:
        """Everything that is to be sent now, sealed, in telegrams of at most `limit` bytes; maybe nothing."""
        ...

    def time_told(self, unix_s: float, monotonic_s: float) -> None:
        """The network's time, for the validity of keys."""
        ...

    def health(self) -> Mapping[str, object]:
        """Figures for the log."""
        ...


class SealingSource:
    """Samples and seals here. `take` is fed with readings, by meters at this device or over the coupling."""

    def __init__(self, sampler: Sampler, sealing: Sealing, dates: Dates) -> None:
        self.changed = asyncio.Event()
        self._sampler, self._sealing, self._dates = sampler, sealing, dates

    @property
    def upcoming(self) -> int:
        return self._sealing.upcoming

    def take(self, input_: int, reading: Reading) -> None:
        """A fresh reading of an input."""
        if self._sampler.put(input_, reading):
            self.changed.set()

    def seal(self, limit: int) -> list[Sealed]:
        """As `Source.collect`, at once."""
        self.changed.clear()
        samples = self._sampler.take()
        return self._sealing.seal(samples, limit) if samples else []

    async def collect(self, limit: int) -> list[Sealed]:
        return self.seal(limit)

    def time_told(self, unix_s: float, monotonic_s: float) -> None:
        self._dates.tell(unix_s, monotonic_s)


class LocalSource(SealingSource):
    """The meters are at this device."""

    def __init__(
        self, inputs: tuple[Input, ...], clock: Clock, sampler: Sampler, sealing: Sealing, dates: Dates
    ) -> None:
        super().__init__(sampler, sealing, dates)
        self._inputs, self._clock = inputs, clock
        self._decoding = Decoding({one.number: one.interface for one in inputs}, self.take)

    async def run(self) -> None:
        await read_inputs(self._inputs, self._clock, self._decoding.feed)

    def health(self) -> Mapping[str, object]:
        return {"readings": self._decoding.readings, "refused": dict(self._decoding.refused)}
