"""Where sealed telegrams come from: this process, or the interface board at the other end of the coupling line."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from adapter_agent.config import Input
from adapter_agent.configuration import Configuration
from adapter_agent.dates import Dates
from adapter_agent.inputs import Decoding, read_inputs
from adapter_agent.meter.installation import Installation, Passed
from adapter_agent.nameplates import Nameplates
from adapter_agent.passing import PassThrough
from adapter_agent.proofs import Proofs
from adapter_agent.sampler import Sample, Sampler
from adapter_agent.sealing import Sealed, Sealing
from edge.clock import Clock
from meterwire.reading import Reading
from meterwire.registers import split_number
from meterwire.seal import Key16


class Source(Protocol):
    """Telegrams on request. `changed` is set when a request before the next regular one is worth it.

    `nameplates` tell what the meters say about themselves.
    """

    changed: asyncio.Event
    nameplates: Nameplates

    @property
    def upcoming(self) -> int:
        """The inner counter that the next telegram uses."""
        ...

    async def run(self) -> None:
        """Read the meters until cancelled."""
        ...

    async def collect(self, limit: int, *, proving: bool = True) -> list[Sealed]:
        """Everything that is to be sent now, sealed, in telegrams of at most `limit` bytes; maybe nothing.

        Not `proving`: without proofs of which meter was read, as far as that is decided here.
        """
        ...

    @property
    def proof_due(self) -> bool:
        """Whether proofs wait for a telegram that carries them, as far as that is known here."""
        ...

    def passing(self) -> list[Passed]:
        """What meters protected themselves and goes on as it is, each telegram once; asked after `collect`."""
        ...

    def resolutions(self) -> Mapping[int, int]:
        """Register number -> exponent of the meter's own resolution, of the registers that are sent."""
        ...

    def configure(self, configuration: Configuration) -> None:
        """Send what it says from now on."""
        ...

    def want_proof(self) -> None:
        """The next telegrams carry the identity hash, until one has arrived."""
        ...

    def proof_arrived(self, inputs: Iterable[int]) -> None:
        """A telegram that proves which meters are at `inputs` has been acknowledged."""
        ...

    def time_told(self, unix_s: float, monotonic_s: float) -> None:
        """The network's time, for the validity of keys."""
        ...

    def health(self) -> Mapping[str, object]:
        """Figures for the log."""
        ...


@dataclass(frozen=True, slots=True)
class SealingParts:
    """What makes telegrams of readings; `meter_key` gives the key with which the meter at an input encrypts."""

    sampler: Sampler
    sealing: Sealing
    dates: Dates
    proofs: Proofs
    passing: PassThrough
    meter_key: Callable[[int], Key16 | None]


class SealingSource:
    """Samples and seals here. `take` is fed with readings, by meters at this device or over the coupling."""

    def __init__(self, parts: SealingParts) -> None:
        self.changed = asyncio.Event()
        self.nameplates = parts.proofs.nameplates
        self._sampler, self._sealing, self._dates = parts.sampler, parts.sealing, parts.dates
        self._proofs, self._passing, self._meter_key = parts.proofs, parts.passing, parts.meter_key

    @property
    def upcoming(self) -> int:
        return self._sealing.upcoming

    def take(self, input_: int, reading: Reading) -> None:
        """A fresh reading of an input."""
        self._passing.opened(input_)
        self.nameplates.take(input_, reading)
        if self._sampler.put(input_, reading):
            self.changed.set()

    def pass_through(self, input_: int, passed: Passed) -> None:
        """A telegram that its meter protected and that is not opened here."""
        self._passing.put(input_, passed)

    def passing(self) -> list[Passed]:
        return self._passing.take()

    def installation(self, number: int, one: Input | None = None) -> Installation:
        """What the decoder of an input needs, of which `one` is the configuration where it is known here."""
        return Installation(
            key=partial(self._meter_key, number),
            passed=partial(self.pass_through, number),
            meter=None if one is None else one.meter,
            checks=one is None or one.checks,
        )

    def seal(self, limit: int, *, proving: bool = True) -> list[Sealed]:
        """As `Source.collect`, at once."""
        self.changed.clear()
        samples = self._sampler.take()
        if proving:
            samples = [self._proving(sample) for sample in samples]
        return self._sealing.seal(samples, limit) if samples else []

    async def collect(self, limit: int, *, proving: bool = True) -> list[Sealed]:
        return self.seal(limit, proving=proving)

    @property
    def proof_due(self) -> bool:
        return self._proofs.waiting

    def resolutions(self) -> Mapping[int, int]:
        found = {}
        for number, exponent in self.nameplates.resolutions().items():
            index, input_ = split_number(number)
            if any(register.index == index for register in self._sampler.sends(input_)):
                found[number] = exponent
        return found

    def configure(self, configuration: Configuration) -> None:
        self._sampler.configure(configuration.registers)
        period_s = configuration.slot.period_s if configuration.slot is not None else configuration.period_s
        self._sealing.carry_previous((period_s or self._sampler.period_s) if configuration.previous else None)

    def want_proof(self) -> None:
        self._proofs.want()

    def proof_arrived(self, inputs: Iterable[int]) -> None:
        self._proofs.arrived(inputs)

    def time_told(self, unix_s: float, monotonic_s: float) -> None:
        self._dates.tell(unix_s, monotonic_s)

    def _proving(self, sample: Sample) -> Sample:
        proof = self._proofs.due(sample.input)
        return sample if proof is None else replace(sample, values=(proof, *sample.values))


class LocalSource(SealingSource):
    """The meters are at this device."""

    def __init__(self, inputs: tuple[Input, ...], clock: Clock, parts: SealingParts) -> None:
        super().__init__(parts)
        self._inputs, self._clock = inputs, clock
        installations = {one.number: self.installation(one.number, one) for one in inputs}
        self._decoding = Decoding({one.number: one.interface for one in inputs}, self.take, installations)

    async def run(self) -> None:
        await read_inputs(self._inputs, self._clock, self._decoding.feed)

    def health(self) -> Mapping[str, object]:
        return {"readings": self._decoding.readings, "refused": dict(self._decoding.refused)}
