"""What value information fields mean (EN 13757-3), as far as the register dictionary has a place for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from typing import Final

JOULES_PER_WH: Final = 3600
_FINEST: Final = 3  # decimals of a Wh; joules do not divide evenly
_EXTENSION_FB, _EXTENSION_FD = 0xFB, 0xFD
_IMPORT, _EXPORT, _PHASE = 0x3B, 0x3C, 0x7C  # combinable extensions


class Quantity(StrEnum):
    ENERGY = "energy"
    REACTIVE_ENERGY = "reactive energy"
    POWER = "power"
    VOLTAGE = "voltage"
    CURRENT = "current"
    FREQUENCY = "frequency"
    VOLUME = "volume"
    HEAT_COST = "heat cost units"


@dataclass(frozen=True, slots=True)
class Meaning:
    """value * 10**exponent is the quantity in `unit`; `divisor` 3600 for joules. `phase` 1 to 3, 0 for the sum.

    `export`: what went out, counted as a positive number.
    """

    quantity: Quantity
    unit: str
    exponent: int
    divisor: int = 1
    phase: int = 0
    export: bool = False

    def value(self, number: Decimal) -> Decimal:
        """The quantity in `unit`; exact, but for joules, which are rounded towards zero to a thousandth of a Wh."""
        scaled = number.scaleb(self.exponent)
        if self.divisor == 1:
            return scaled
        return (scaled / self.divisor).scaleb(_FINEST).to_integral_value(ROUND_DOWN).scaleb(-_FINEST)


# First VIF, second octet where the first is an extension, number of codes; quantity, unit, first exponent, divisor.
_ROWS: Final = (
    (0x00, None, 8, Quantity.ENERGY, "Wh", -3, 1),
    (0x08, None, 8, Quantity.ENERGY, "Wh", 0, JOULES_PER_WH),
    (0x10, None, 8, Quantity.VOLUME, "m3", -6, 1),
    (0x28, None, 8, Quantity.POWER, "W", -3, 1),
    (0x6E, None, 1, Quantity.HEAT_COST, "units", 0, 1),
    (_EXTENSION_FB, 0x00, 2, Quantity.ENERGY, "Wh", 5, 1),
    (_EXTENSION_FB, 0x02, 2, Quantity.REACTIVE_ENERGY, "varh", 3, 1),
    (_EXTENSION_FB, 0x08, 2, Quantity.ENERGY, "Wh", 8, JOULES_PER_WH),
    (_EXTENSION_FB, 0x10, 2, Quantity.VOLUME, "m3", 2, 1),
    (_EXTENSION_FB, 0x28, 2, Quantity.POWER, "W", 5, 1),
    (_EXTENSION_FB, 0x2C, 4, Quantity.FREQUENCY, "Hz", -3, 1),
    (_EXTENSION_FD, 0x40, 16, Quantity.VOLTAGE, "V", -9, 1),
    (_EXTENSION_FD, 0x50, 16, Quantity.CURRENT, "A", -12, 1),
)


def _table() -> Iterator[tuple[tuple[int, int | None], Meaning]]:
    for first, second, codes, quantity, unit, exponent, divisor in _ROWS:
        for step in range(codes):
            code = (first + step, None) if second is None else (first, second + step)
            yield code, Meaning(quantity, unit, exponent + step, divisor)


_MEANINGS: Final = dict(_table())


def meaning_of(vif: bytes) -> Meaning | None:
    """The meaning of a whole value information field; None for one without a place here, or with unknown extensions."""
    extended = vif[0] in (_EXTENSION_FB, _EXTENSION_FD)
    found = _MEANINGS.get((vif[0], vif[1] & 0x7F) if extended else (vif[0] & 0x7F, None))
    extensions = vif[2 if extended else 1 :]
    if found is None or not extensions:
        return found
    combined = _combined(bytes(octet & 0x7F for octet in extensions))
    if combined is None:
        return None
    phase, export = combined
    return Meaning(found.quantity, found.unit, found.exponent, found.divisor, phase, export)


def _combined(extensions: bytes) -> tuple[int, bool] | None:
    phase, export, place = 0, False, 0
    while place < len(extensions):
        octet = extensions[place]
        if octet == _PHASE and place + 1 < len(extensions) and 1 <= extensions[place + 1] <= 3:
            phase, place = extensions[place + 1], place + 2
        elif octet in (_IMPORT, _EXPORT):
            export, place = octet == _EXPORT, place + 1
        else:
            return None
    return phase, export
