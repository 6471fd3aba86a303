"""A simulated meter that pushes IEC 62056-21 telegrams (mode D), as EasyMeter's Q3D does."""

from decimal import Decimal
from typing import Final

from adapter_agent.simulation.measurement import Mains
from meterwire.ids import MeterId

NAME: Final = "easymeter-q3d"
PERIOD_S: Final = 2.0

# OBIS code, quantity of the mains, power of ten from its thousandths to the unit, unit, digits before and after it
_ROWS: Final = (
    ("1-0:1.8.0*255", "import", -6, "kWh", 8, 7),
    ("1-0:2.8.0*255", "export", -6, "kWh", 8, 7),
    ("1-0:16.7.0*255", "power", -3, "W", 6, 2),
)


class D0Meter:
    """Pushes its telegram every `period_s`. Not `named`: it leaves out its own number, as old types do."""

    def __init__(self, identity: MeterId, mains: Mains, *, named: bool = True, period_s: float | None = None) -> None:
        self.period_s = period_s or PERIOD_S
        self._identity, self._mains, self._named = identity, mains, named

    def telegram(self, unix: float) -> bytes:
        lines = ["/ESY5Q3DA1004 V3.04", ""]
        for (obis, _, _, unit, before, after), value in zip(_ROWS, self._amounts(unix), strict=True):
            lines.append(f"{obis}({value:0{before + after + 1}.{after}f}*{unit})")
        if self._named:
            lines.append(f"0-0:96.1.255*255({self._identity})")
        return "\r\n".join([*lines, "!", ""]).encode("ascii")

    def values(self, unix: float) -> dict[str, Decimal]:
        """What a reader must find, by OBIS code, in Wh and W."""
        amounts = zip(_ROWS, self._amounts(unix), strict=True)
        return {row[0]: amount.scaleb(3 if row[3] == "kWh" else 0) for row, amount in amounts}

    def _amounts(self, unix: float) -> list[Decimal]:
        return [
            Decimal(self._mains.number(quantity, unix)).scaleb(shift).quantize(Decimal(1).scaleb(-after))
            for _, quantity, shift, _, _, after in _ROWS
        ]
