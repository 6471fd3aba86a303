"""The register dictionary of values telegrams (design 5.2): index, OBIS code, unit and resolution."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from meterwire.errors import ValueOutOfRange

MAX_INPUT = 7
MAX_INDEX = 30
LIMIT = 1 << 64  # of a telegram's integer, which takes at most 8 bytes
SIGNED_LIMIT = 1 << 63
IDENTITY = 31  # index of the identity hash (meterwire.identity): no unit, not in the dictionary, no measurement
PREVIOUS = 0  # index of the previous value (meterwire.previous): a difference, not in the dictionary
AGE = 27  # index of "age of the reading", which dates the telegram and is no measurement


@dataclass(frozen=True, slots=True)
class Register:
    """One register. A telegram carries integers: value * 10**exponent is the quantity in `unit`."""

    index: int
    obis: str
    unit: str
    exponent: int
    signed: bool
    name: str

    def quantity(self, value: int) -> Decimal:
        """The exact quantity in `unit` of a telegram's integer."""
        return Decimal(value).scaleb(self.exponent)

    def integer(self, quantity: Decimal) -> int:
        """The telegram's integer for a quantity in `unit`, rounded towards zero.

        ValueOutOfRange for what does not fit into 64 bits, and below zero for a register that is not `signed`.
        """
        value = int(quantity.scaleb(-self.exponent))
        if value < 0 and not self.signed:
            raise ValueOutOfRange(f"register {self.obis} ({self.name}) takes no negative value; {quantity} was given")
        if not (-SIGNED_LIMIT <= value < SIGNED_LIMIT if self.signed else value < LIMIT):
            raise ValueOutOfRange(f"register {self.obis} ({self.name}) has 64 bits; {quantity} does not fit")
        return value


def _dictionary() -> Mapping[int, Register]:
    rows = (
        ("1-0:1.8.0", "Wh", 0, "import, total"),
        ("1-0:2.8.0", "Wh", 0, "export, total"),
        ("1-0:1.8.1", "Wh", 0, "import, tariff 1"),
        ("1-0:1.8.2", "Wh", 0, "import, tariff 2"),
        ("1-0:2.8.1", "Wh", 0, "export, tariff 1"),
        ("1-0:2.8.2", "Wh", 0, "export, tariff 2"),
        ("1-0:16.7.0", "W", 0, "active power, sum"),
        ("1-0:36.7.0", "W", 0, "active power, L1"),
        ("1-0:56.7.0", "W", 0, "active power, L2"),
        ("1-0:76.7.0", "W", 0, "active power, L3"),
        ("1-0:32.7.0", "V", -1, "voltage, L1"),
        ("1-0:52.7.0", "V", -1, "voltage, L2"),
        ("1-0:72.7.0", "V", -1, "voltage, L3"),
        ("1-0:31.7.0", "A", -2, "current, L1"),
        ("1-0:51.7.0", "A", -2, "current, L2"),
        ("1-0:71.7.0", "A", -2, "current, L3"),
        ("1-0:14.7.0", "Hz", -1, "frequency"),
        ("1-0:3.8.0", "varh", 0, "reactive import, total"),
        ("1-0:4.8.0", "varh", 0, "reactive export, total"),
        ("8-0:1.0.0", "m3", -3, "cold water"),
        ("9-0:1.0.0", "m3", -3, "hot water"),
        ("7-0:3.0.0", "m3", -3, "gas, operating volume"),
        ("6-0:1.0.0", "Wh", 0, "heat"),
        ("5-0:1.0.0", "Wh", 0, "cooling"),
        ("4-0:1.0.0", "units", 0, "heat cost units"),
        ("1-0:96.5.0", "", 0, "status word"),
        # 128 and above in group E are the maker's own: OBIS has no code for these two.
        ("0-0:96.8.128", "s", 0, "age of the reading"),
        ("0-0:96.6.3", "V", -2, "battery"),
        ("0-0:96.9.0", "°C", -1, "temperature"),
        ("0-0:96.9.128", "ppm", 0, "carbon dioxide"),
    )
    signed = {7, 8, 9, 10, 29}
    return MappingProxyType(
        {
            index: Register(index, obis, unit, exponent, index in signed, name)
            for index, (obis, unit, exponent, name) in enumerate(rows, 1)
        }
    )


REGISTERS: Mapping[int, Register] = _dictionary()
_BY_OBIS = {register.obis: register for register in REGISTERS.values()}


def by_index(index: int) -> Register:
    """The register of a dictionary index (1 to 30). ValueOutOfRange for another."""
    register = REGISTERS.get(index)
    if register is None:
        raise ValueOutOfRange(f"register index {index} is not in the dictionary (1 to {MAX_INDEX})")
    return register


def by_obis(obis: str) -> Register | None:
    """The register of an OBIS code `1-0:1.8.0` or `1-0:1.8.0*255`; None for one that has no index.

    Another F than 255 names a past period and is another register: None.
    """
    return _BY_OBIS.get(obis.removesuffix("*255"))


def register_number(index: int, input: int = 0) -> int:
    """The one integer that names a register of an input everywhere outside the telegram: input * 32 + index.

    Index 1 to 30, or IDENTITY. ValueOutOfRange.
    """
    if not 1 <= index <= IDENTITY or not 0 <= input <= MAX_INPUT:
        raise ValueOutOfRange(f"index {index} of input {input}: indices run from 1 to 31, inputs from 0 to 7")
    return input << 5 | index


def previous_number(input: int = 0) -> int:
    """The number of the previous value of an input in a telegram: input * 32. It names no register. ValueOutOfRange."""
    if not 0 <= input <= MAX_INPUT:
        raise ValueOutOfRange(f"inputs run from 0 to {MAX_INPUT}, not {input}")
    return input << 5 | PREVIOUS


def split_number(number: int) -> tuple[int, int]:
    """(index, input) of a register number; the index may be IDENTITY. ValueOutOfRange for a number that names none."""
    index, input_ = number & 31, number >> 5
    if not 1 <= index <= IDENTITY or not 0 <= input_ <= MAX_INPUT:
        raise ValueOutOfRange(f"{number} names no register: index 1 to 31 plus 32 times the input 0 to 7")
    return index, input_
