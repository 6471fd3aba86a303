"""The data sets of a telegram, and the numbers in them: exact decimals in the unit that the dictionary uses."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from meterwire.reading import RegisterValue

MAX_DATASETS: Final = 255
HEAT_ENERGY: Final = "6-0:1.0.0*255"

_DATASET: Final = re.compile(r"([A-Za-z0-9:.*&-]{1,40})((?:\([^()\r\n]*\))+)")
_GROUP: Final = re.compile(r"\(([^()]*)\)")
_OBIS: Final = re.compile(r"(?:(\d{1,3})-(\d{1,3}):)?(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:[*&](\d{1,3}))?")
_NUMBER: Final = re.compile(r" *(-?\d{1,20}(?:\.(\d{1,12}))?)(?:\*(.{0,8}))?")

# Unit as sent, in lower case -> unit of the dictionary and power of ten to it.
_UNITS: Final[Mapping[str, tuple[str, int]]] = MappingProxyType(
    {
        "wh": ("Wh", 0), "kwh": ("Wh", 3), "mwh": ("Wh", 6), "w": ("W", 0), "kw": ("W", 3),
        "varh": ("varh", 0), "kvarh": ("varh", 3), "var": ("var", 0), "kvar": ("var", 3),
        "v": ("V", 0), "a": ("A", 0), "hz": ("Hz", 0), "m3": ("m3", 0),
    }
)  # fmt: skip
_WITHOUT_UNIT: Final[Mapping[tuple[int, int], str]] = MappingProxyType(
    {(1, 8): "kwh", (2, 8): "kwh", (3, 8): "kvarh", (4, 8): "kvarh"}
)


@dataclass(frozen=True, slots=True)
class Dataset:
    """`code` as sent and what stands in its brackets."""

    code: str
    values: tuple[str, ...]

    @property
    def obis(self) -> str | None:
        """The full code; None for one that is no OBIS code. What a reduced code leaves out is 1-0 and 255.

        Heat meters (EN 1434) call their energy 6.8.
        """
        if self.code == "6.8":
            return HEAT_ENERGY
        match = _OBIS.fullmatch(self.code)
        if match is None or any(int(part) > 255 for part in match.groups() if part is not None):
            return None
        a, b, c, d, e, f = match.groups()
        return f"{int(a or 1)}-{int(b or 0)}:{int(c)}.{int(d)}.{int(e)}*{255 if f is None else int(f)}"

    @property
    def register(self) -> RegisterValue | None:
        """The number, where the set holds exactly one."""
        match = _NUMBER.fullmatch(self.values[0]) if len(self.values) == 1 else None
        if match is None:
            return None
        unit, shift = self._unit(match[3])
        digits = len(match[2] or "")
        return RegisterValue(Decimal(match[1]).scaleb(shift), unit, shift - digits)

    def _unit(self, sent: str | None) -> tuple[str | None, int]:
        if sent:
            return _UNITS.get(sent.lower(), (sent, 0))
        code = _OBIS.fullmatch(self.code)
        usual = None if code is None else _WITHOUT_UNIT.get((int(code[3]), int(code[4])))
        return (None, 0) if usual is None else _UNITS[usual]


def datasets(data: str) -> Iterator[Dataset]:
    """Every data set of a telegram in order, at most MAX_DATASETS; lines may hold several, and noise between them."""
    for count, match in enumerate(_DATASET.finditer(data)):
        if count == MAX_DATASETS:
            return
        yield Dataset(match[1], tuple(_GROUP.findall(match[2])))
