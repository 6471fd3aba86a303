"""Inner encryption on the adapter: a valid key, a counter saved before its telegram leaves, as few telegrams as fit."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from adapter_agent.carriage import Carriage
from adapter_agent.config import Sealing as SealingConfig
from adapter_agent.dates import Dates
from adapter_agent.sampler import Sample
from meterwire.counter import Counter
from meterwire.errors import KeyMemoryError
from meterwire.ids import DevEUI
from meterwire.keymemory import KeyEntry, KeyMemory
from meterwire.registers import AGE, IDENTITY, REGISTERS, previous_number, register_number
from meterwire.seal import Mode, Value, ValuesSealer
from meterwire.values_telegram import HEADER_LENGTH, encode_body

log = logging.getLogger(__name__)

PURPOSE: Final = "inner"
AGE_FROM_S: Final = 2.0  # younger readings go without the age register
MAX_AGE_S: Final = 0xFFFF_FFFF
_MODES: Final = {"values": Mode.VALUES, "all": Mode.ALL, "clear": Mode.CLEAR}


@dataclass(frozen=True, slots=True)
class Sealed:
    """A telegram for port 16 and the full counter it was sealed with; `proves` which meter is at these inputs."""

    counter: int
    payload: bytes
    proves: tuple[int, ...] = ()


class Sealing:
    """Seals samples into values telegrams of one adapter. Without a valid key it seals nothing and raises an alarm.

    `on_sealed` is called after each telegram with its key and the date (Unix seconds).
    """

    def __init__(
        self,
        dev_eui: DevEUI,
        keys: KeyMemory,
        counter: Counter,
        dates: Dates,
        config: SealingConfig,
        *,
        on_sealed: Callable[[KeyEntry, float], None] | None = None,
    ) -> None:
        self._dev_eui, self._keys, self._counter, self._dates = dev_eui, keys, counter, dates
        self._on_sealed = on_sealed
        self._mode = _MODES[config.mode]
        numbers = [register_number(index, input_) for index in REGISTERS for input_ in range(8)]
        numbers += [previous_number(input_) for input_ in range(8)]
        self._widths = dict.fromkeys(numbers, config.least_width) if config.least_width > 1 else {}
        self._carriage = Carriage()
        self._sealers: dict[int, tuple[KeyEntry, ValuesSealer]] = {}
        self._alarm = ""

    @property
    def upcoming(self) -> int:
        """The counter that the next telegram uses."""
        return self._counter.upcoming

    def carry_previous(self, period_s: float | None) -> None:
        """Telegrams, `period_s` apart, also carry the value before; None: they do not."""
        self._carriage.configure(period_s)

    def seal(self, samples: Sequence[Sample], limit: int) -> list[Sealed]:
        """Telegrams of at most `limit` bytes that carry all samples; none while no key is valid (an alarm is logged).

        Raises CounterExhausted, or the store's error when the counter cannot be saved: nothing leaves then.
        """
        now = self._dates.now()
        try:
            entry = self._keys.choose(PURPOSE, now)
        except KeyMemoryError as error:
            self._raise_alarm(str(error))
            return []
        self._raise_alarm("")
        sealer = self._sealer(entry)
        room = limit - HEADER_LENGTH - entry.key.tag_length
        telegrams = []
        for packed in self._pack(samples, room):
            counter = self._counter.next()
            values = packed if now is None else self._with_previous(counter, packed, room, now)
            proves = tuple(value.register >> 5 for value in values if value.register & 31 == IDENTITY)
            telegrams.append(Sealed(counter, sealer.seal(counter, values, self._mode), proves))
            if self._on_sealed is not None and now is not None:
                self._on_sealed(entry, now)
        return telegrams

    def _with_previous(self, counter: int, values: list[Value], room: int, now: float) -> list[Value]:
        """As many previous values as there is room for beside the values, which come first."""
        full = values
        for step in self._carriage.due(counter, values, now):
            if self._size([*full, step]) <= room:
                full = [*full, step]
        self._carriage.note(counter, values, now)
        return full

    def _pack(self, samples: Iterable[Sample], room: int) -> list[list[Value]]:
        """Values filled into as few telegrams as fit, each with the age of the readings in it."""
        packed: list[list[Value]] = []
        left = 0
        for sample in samples:
            age = _age(sample)
            age_size = self._size(age)
            begun = False  # whether the telegram at hand tells this sample's age
            for value in sample.values:
                size = self._size([value])
                if age_size + size > room:
                    log.error("register %s does not fit into %s bytes; not sent", value.register, room)
                    continue
                if (size if begun else age_size + size) > left:
                    packed.append([])
                    left, begun = room, False
                if not begun:
                    packed[-1] += age
                    left, begun = left - age_size, True
                packed[-1].append(value)
                left -= size
        return packed

    def _size(self, values: Sequence[Value]) -> int:
        return len(encode_body(values, self._widths)) if values else 0

    def _sealer(self, entry: KeyEntry) -> ValuesSealer:
        known = self._sealers.get(entry.slot)
        if known is None or known[0] is not entry:
            known = (entry, ValuesSealer(entry.key, entry.slot, self._dev_eui, widths=self._widths))
            self._sealers[entry.slot] = known
        return known[1]

    def _raise_alarm(self, message: str) -> None:
        if message and message != self._alarm:
            log.error("no telegram can be sealed: %s", message, extra={"alarm": "no_valid_key"})
        elif self._alarm and not message:
            log.info("telegrams are sealed again", extra={"alarm": "no_valid_key", "state": "over"})
        self._alarm = message


def _age(sample: Sample) -> list[Value]:
    if sample.age_s < AGE_FROM_S:
        return []
    return [Value(register_number(AGE, sample.input), min(round(sample.age_s), MAX_AGE_S))]
