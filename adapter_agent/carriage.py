"""The previous value that a telegram carries, so that the loss of one loses nothing (meterwire.previous)."""

from collections.abc import Sequence
from typing import Final

from meterwire.previous import first_registers, growth
from meterwire.registers import AGE
from meterwire.seal import Value

SLACK_S: Final = 5.0  # so far from a period the portal would date the previous value wrongly


class Carriage:
    """Remembers what the last telegram carried. Times are Unix seconds of the trusted date."""

    def __init__(self) -> None:
        self._period_s: float | None = None
        self._counter = -1
        self._values: dict[int, tuple[Value, float]] = {}  # by input: first register, and when it was read

    def configure(self, period_s: float | None) -> None:
        """Carry, where telegrams are `period_s` apart; None: do not."""
        self._period_s = period_s

    def due(self, counter: int, values: Sequence[Value], now: float) -> list[Value]:
        """What the telegram with `counter` is to carry too: for each input whose first register the telegram of the
        counter before also had as its first, read one period earlier.
        """
        if self._period_s is None or counter != self._counter + 1:
            return []
        found = []
        for input_, first in first_registers(values).items():
            before, read_at = self._values.get(input_, (None, 0.0))
            if before is None or abs(now - _age_s(values, input_) - read_at - self._period_s) > SLACK_S:
                continue
            step = growth(first, before)
            if step is not None:
                found.append(step)
        return found

    def note(self, counter: int, values: Sequence[Value], now: float) -> None:
        """The telegram with `counter` carries `values`."""
        self._counter = counter
        self._values = {
            input_: (first, now - _age_s(values, input_)) for input_, first in first_registers(values).items()
        }


def _age_s(values: Sequence[Value], input_: int) -> int:
    return next((one.value for one in values if one.register >> 5 == input_ and one.register & 31 == AGE), 0)
