"""Registers in words and in the unit a person reads: Wh as kWh, litres as cubic metres."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from meterwire.registers import AGE, REGISTERS, Register, split_number
from portal.web.figures import figure

NAMES: dict[int, str | Promise] = {
    1: pgettext_lazy("energy", "Import"),
    2: pgettext_lazy("energy", "Export"),
    3: _("Import, tariff 1"),
    4: _("Import, tariff 2"),
    5: _("Export, tariff 1"),
    6: _("Export, tariff 2"),
    7: _("Power"),
    8: _("Power L1"),
    9: _("Power L2"),
    10: _("Power L3"),
    11: _("Voltage L1"),
    12: _("Voltage L2"),
    13: _("Voltage L3"),
    14: _("Current L1"),
    15: _("Current L2"),
    16: _("Current L3"),
    17: _("Frequency"),
    18: _("Reactive import"),
    19: _("Reactive export"),
    20: _("Cold water"),
    21: _("Hot water"),
    22: _("Gas"),
    23: _("Heat"),
    24: _("Cooling"),
    25: _("Heat cost units"),
    26: _("Status word"),
    27: _("Age of the reading"),
    28: _("Battery"),
    29: _("Temperature"),
    30: _("Carbon dioxide"),
}

# unit in the dictionary -> (unit shown, power of ten from one to the other, decimals shown)
_SHOWN = {
    "Wh": ("kWh", -3, 3),
    "varh": ("kvarh", -3, 3),
    "m3": ("m³", 0, 3),
    "W": ("W", 0, 0),
    "V": ("V", 0, 1),
    "A": ("A", 0, 2),
    "Hz": ("Hz", 0, 1),
    "°C": ("°C", 0, 1),
}
# unit in the dictionary -> (rate unit, factor from unit per second, decimals, amount unit, its power of ten, decimals)
_RATES = {
    "Wh": ("W", 3600, 0),
    "varh": ("var", 3600, 0),
    "m3": ("l/h", 3_600_000, 0),
    "units": ("1/h", 3600, 2),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """How one register is shown: `factor` from the stored integer to `unit`, and, for a counter, its rate."""

    number: int
    name: str
    obis: str
    unit: str
    factor: float
    digits: int
    group: str
    counter: bool
    rate_unit: str = ""
    rate_factor: float = 0.0  # from stored integer per second
    rate_digits: int = 0

    def quantity(self, value: int | None) -> str:
        """The value as a person reads it, without its unit."""
        if value is None:
            return figure(None)
        register = REGISTERS[split_number(self.number)[0]]
        shift = _SHOWN.get(register.unit, (register.unit, 0, 0))[1]
        return figure(Decimal(value).scaleb(register.exponent + shift), self.digits)


Places = Mapping[int, str]


def shown(number: int, places: Places = MappingProxyType({})) -> Shown:
    """How a register number (meterwire.registers.register_number) is shown; `places` names the adapter's inputs.

    The name of the only or first input is left out: the page is about it.
    """
    index, input_ = split_number(number)
    register = REGISTERS[index]
    unit, shift, digits = _SHOWN.get(register.unit, (register.unit, 0, max(0, -register.exponent)))
    digits = max(digits, -(register.exponent + shift))
    name = str(NAMES[index])
    rate = _RATES.get(register.unit, ("", 0, 0))
    counter = bool(rate[0])
    return Shown(
        number,
        f"{name} · {place}" if (place := _place(input_, places)) else name,
        register.obis.partition(":")[2],
        unit,
        10.0 ** (register.exponent + shift),
        digits,
        _group(register, input_),
        counter,
        rate[0],
        rate[1] * 10.0**register.exponent,
        rate[2],
    )


def measured(number: int) -> bool:
    """False for what only describes the telegram (its age) or the device (status word): no chart, no reading."""
    return split_number(number)[0] != AGE


GROUP_NAMES: dict[str, str | Promise] = {
    "energy": _("Energy"),
    "reactive": _("Reactive energy"),
    "power": _("Power"),
    "phases": _("Power by phase"),
    "voltage": _("Voltage"),
    "current": _("Current"),
    "frequency": _("Frequency"),
    "water": _("Water"),
    "gas": _("Gas"),
    "heat": _("Heat"),
    "units": _("Heat cost units"),
    "status": _("Status word"),
    "battery": _("Battery"),
    "temperature": _("Temperature"),
    "air": _("Air"),
}
_GROUPS = {
    **dict.fromkeys(range(1, 7), "energy"),
    7: "power",
    **dict.fromkeys(range(8, 11), "phases"),
    **dict.fromkeys(range(11, 14), "voltage"),
    **dict.fromkeys(range(14, 17), "current"),
    17: "frequency",
    **dict.fromkeys((18, 19), "reactive"),
    **dict.fromkeys((20, 21), "water"),
    22: "gas",
    **dict.fromkeys((23, 24), "heat"),
    25: "units",
    26: "status",
    27: "status",
    28: "battery",
    29: "temperature",
    30: "air",
}


def group_name(group: str, places: Places = MappingProxyType({})) -> str:
    """The words of a group key such as "energy" or "2:energy" (input 2)."""
    input_, _sep, key = group.rpartition(":")
    name = str(GROUP_NAMES[key])
    place = _place(int(input_ or 0), places)
    return f"{name} · {place}" if place else name


def _group(register: Register, input_: int) -> str:
    key = _GROUPS[register.index]
    return f"{input_}:{key}" if input_ else key


def _place(number: int, places: Places) -> str:
    """What to call an input; nothing for input 0 when it is the only one."""
    if number == 0 and len(places) < 2:
        return ""
    return places.get(number) or str(_("input {number}")).format(number=number)
