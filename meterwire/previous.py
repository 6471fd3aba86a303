"""The previous value in values telegrams: each may carry how much its first register has grown since the one before."""

from collections.abc import Iterable

from meterwire.errors import ValueOutOfRange
from meterwire.registers import AGE, IDENTITY, PREVIOUS, previous_number
from meterwire.values_telegram import SIGNED, Value

MAX_GROWTH = 0xFFFF


def first_registers(values: Iterable[Value]) -> dict[int, Value]:
    """Input -> the first value of it that is measured: no age, no identity hash, no previous value."""
    found: dict[int, Value] = {}
    for value in values:
        if value.register & 31 not in (PREVIOUS, AGE, IDENTITY):
            found.setdefault(value.register >> 5, value)
    return found


def growth(now: Value, before: Value) -> Value | None:
    """What tells in the telegram of `now` the value `before` of the same register, one period earlier.

    None where it cannot be told: another register, one that may be negative, one that has shrunk or grown by over
    65535.
    """
    step = now.value - before.value
    if now.register != before.register or now.register & 31 in SIGNED or not 0 <= step <= MAX_GROWTH:
        return None
    return Value(previous_number(now.register >> 5), step)


def earlier(values: Iterable[Value]) -> tuple[Value, ...]:
    """What the telegram of the counter before had as the first register of each input, as this one tells it.

    `values` are one telegram's, opened and authentic. An input that carries no previous value is not in the result.
    ValueOutOfRange for a register that would have been negative: the telegram was made by no adapter of ours.
    """
    of_telegram = list(values)
    first = first_registers(of_telegram)
    found = []
    for value in of_telegram:
        now = first.get(value.register >> 5)
        if value.register & 31 != PREVIOUS or now is None:
            continue
        if value.value > now.value or now.register & 31 in SIGNED:
            raise ValueOutOfRange(f"register {now.register} cannot have grown by {value.value} to {now.value}")
        found.append(Value(now.register, now.value - value.value))
    return tuple(found)
