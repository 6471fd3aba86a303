"""What is worth sending of all that the meters say: the configured registers, as integers of the dictionary."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from adapter_agent.config import Sampler as SamplerConfig
from edge.clock import Clock
from meterwire.errors import ValueOutOfRange
from meterwire.reading import Reading
from meterwire.registers import Register, by_index, register_number
from meterwire.seal import Value

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """The registers to send of one input, read `age_s` seconds ago; never empty."""

    input: int
    age_s: float
    values: tuple[Value, ...]


class Sampler:
    """Keeps the latest reading of each input. Times are the clock's monotonic seconds."""

    def __init__(self, config: SamplerConfig, clock: Clock) -> None:
        self._config, self._clock = config, clock
        self._registers = [obis.register for obis in config.registers]
        self._configured: dict[int, list[Register]] = {}
        self._thresholds = config.thresholds()
        self._latest: dict[int, tuple[Reading, float]] = {}
        self._sent: dict[tuple[int, int], Decimal] = {}
        self._sent_at: float | None = None
        self._told: set[str] = set()

    @property
    def period_s(self) -> float:
        """Seconds between regular telegrams where nothing else is configured."""
        return self._config.period_s

    def configure(self, registers: Mapping[int, Sequence[int]]) -> None:
        """Input -> dictionary indices to send instead of the file's; inputs that are not named keep those."""
        self._configured = {input_: [by_index(index) for index in indices] for input_, indices in registers.items()}

    def sends(self, input_: int) -> list[Register]:
        """The registers to send of an input, in order."""
        return self._configured.get(input_, self._registers)

    def put(self, input_: int, reading: Reading) -> bool:
        """Take a reading; whether it differs so much from what was sent that it should go out at once."""
        now = self._clock.monotonic()
        self._latest[input_] = (reading, now)
        if self._sent_at is None or now - self._sent_at < self._config.least_interval_s:
            return False
        return any(
            self._changed(input_, quantity, register) for register, quantity in self._quantities(input_, reading)
        )

    def take(self) -> list[Sample]:
        """The samples to send now, one per input that has something fresh to say."""
        now = self._clock.monotonic()
        samples = []
        for input_, (reading, read_at) in sorted(self._latest.items()):
            if now - read_at > self._config.silent_after_s:
                self._tell(
                    f"silent {input_}", "the meter at input %s is silent; its last reading is not sent again", input_
                )
                continue
            self._told.discard(f"silent {input_}")
            values = tuple(self._values(input_, reading))
            if values:
                samples.append(Sample(input_, now - read_at, values))
        if samples:
            self._sent_at = now
        return samples

    def _values(self, input_: int, reading: Reading) -> Iterable[Value]:
        for register, quantity in self._quantities(input_, reading):
            try:
                value = register.integer(quantity)
            except ValueOutOfRange as error:
                self._tell(f"range {input_} {register.obis}", "input %s: %s", input_, error)
                continue
            self._sent[input_, register.index] = quantity
            yield Value(register_number(register.index, input_), value)

    def _quantities(self, input_: int, reading: Reading) -> Iterable[tuple[Register, Decimal]]:
        """The configured registers that the meter sent, in the configured order."""
        for register in self.sends(input_):
            found = reading.registers.get(f"{register.obis}*255")
            if found is None or found.value is None:
                continue
            if found.unit != register.unit and register.unit:
                self._tell(f"unit {register.obis}", "register %s comes in %s; not sent", register.obis, found.unit)
                continue
            yield register, found.value

    def _changed(self, input_: int, quantity: Decimal, register: Register) -> bool:
        threshold, sent = self._thresholds.get(register.index), self._sent.get((input_, register.index))
        return threshold is not None and sent is not None and abs(quantity - sent) >= threshold

    def _tell(self, key: str, message: str, *arguments: object) -> None:
        """Warn once, not with every telegram."""
        if key not in self._told:
            self._told.add(key)
            log.warning(message, *arguments)
