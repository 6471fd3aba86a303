"""Records that configure an adapter. A configuration is complete: what it does not name keeps the local default.

Types 0x10 to 0x1F belong to slots and clocks: `slots`.
"""

from dataclasses import dataclass
from typing import Final, Self

from meterwire.config_records.record import Bounded, sized
from meterwire.registers import MAX_INDEX, MAX_INPUT

MAX_IDENTITY: Final = 20  # octets of a meter's own name
MAX_PERIOD_S: Final = 86400
MAX_COMMISSIONING_MIN: Final = 60


@dataclass(frozen=True, slots=True)
class MeterIdentity(Bounded):
    """Type 0x01: the octets by which the meter registered at `input` (0 to 7) should name itself, 1 to 20."""

    type = 0x01
    input: int
    octets: bytes

    def _fault(self) -> str | None:
        if not 0 <= self.input <= MAX_INPUT:
            return no_input(self.input)
        if not 1 <= len(self.octets) <= MAX_IDENTITY:
            return f"a meter identity has 1 to {MAX_IDENTITY} bytes, not {len(self.octets)}"
        return None

    def _octets(self) -> bytes:
        return bytes((self.input,)) + self.octets

    @classmethod
    def _read(cls, value: bytes) -> Self:
        sized(value, 2, 1 + MAX_IDENTITY, "a meter identity record")
        return cls(value[0], value[1:])


@dataclass(frozen=True, slots=True)
class Reporting(Bounded):
    """Type 0x02: seconds between two values telegrams, 1 to 86400."""

    type = 0x02
    period_s: int

    def _fault(self) -> str | None:
        if not 1 <= self.period_s <= MAX_PERIOD_S:
            return f"a reporting period is 1 to {MAX_PERIOD_S} s, not {self.period_s}"
        return None

    def _octets(self) -> bytes:
        return self.period_s.to_bytes(3, "big")

    @classmethod
    def _read(cls, value: bytes) -> Self:
        return cls(int.from_bytes(sized(value, 3, 3, "a reporting record"), "big"))


@dataclass(frozen=True, slots=True)
class Registers(Bounded):
    """Type 0x03: the dictionary indexes (1 to 30, each once, at least one) that `input` (0 to 7) sends, in order."""

    type = 0x03
    input: int
    indexes: tuple[int, ...]

    def _fault(self) -> str | None:
        if not 0 <= self.input <= MAX_INPUT:
            return no_input(self.input)
        if not self.indexes or not all(1 <= index <= MAX_INDEX for index in self.indexes):
            return f"a list of registers names at least one index, each from 1 to {MAX_INDEX}"
        if len(set(self.indexes)) < len(self.indexes):
            return "a list of registers names each index once"
        return None

    def _octets(self) -> bytes:
        return bytes((self.input, *self.indexes))

    @classmethod
    def _read(cls, value: bytes) -> Self:
        sized(value, 2, 1 + MAX_INDEX, "a list of registers")
        return cls(value[0], tuple(value[1:]))


@dataclass(frozen=True, slots=True)
class Commissioning(Bounded):
    """Type 0x04: minutes of quick reporting while an installer waits, 0 (ends it) to 60."""

    type = 0x04
    minutes: int

    def _fault(self) -> str | None:
        if not 0 <= self.minutes <= MAX_COMMISSIONING_MIN:
            return f"commissioning lasts 0 to {MAX_COMMISSIONING_MIN} minutes, not {self.minutes}"
        return None

    def _octets(self) -> bytes:
        return bytes((self.minutes,))

    @classmethod
    def _read(cls, value: bytes) -> Self:
        return cls(sized(value, 1, 1, "a commissioning record")[0])


def no_input(number: int) -> str:
    """The sentence for a number that names no input."""
    return f"inputs run from 0 to {MAX_INPUT}, not {number}"
