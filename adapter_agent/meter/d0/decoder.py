"""From the bytes of an IEC 62056-21 meter to readings: telegrams, their registers, and the meter's own name."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from adapter_agent.meter.d0.datasets import Dataset, datasets
from adapter_agent.meter.d0.frame import Frame, FrameScanner
from meterwire.errors import IdentifierError
from meterwire.ids import MeterId
from meterwire.reading import Reading, RegisterValue

# Where meters name themselves, the surest first. The identification line names a type, not a meter.
_NAMES: Final = ("0-0:96.1.0*255", "1-0:96.1.0*255", "0-0:96.1.255*255", "0-0:96.1.1*255", "C.1")
_HEX: Final = re.compile("(?:[2-7][0-9A-Fa-f]){6,32}")
_VOID: Final = re.compile("0*")


class D0Meter:
    """Meter interface `d0`. A telegram whose check does not fit is refused as a whole, one without any check is not."""

    def __init__(self) -> None:
        self.accepted = 0
        self._scanner = FrameScanner()
        self._faults: Counter[str] = Counter()

    @property
    def refused(self) -> Counter[str]:
        return self._scanner.refused + self._faults

    def feed(self, data: bytes) -> list[Reading]:
        return self._decode(self._scanner.feed(data))

    def close(self) -> list[Reading]:
        return self._decode(self._scanner.close())

    def _decode(self, frames: list[Frame]) -> list[Reading]:
        readings = []
        for frame in frames:
            fault = None if frame.intact else frame.check
            reading = None if fault else decode(frame)
            if reading is None:
                self._faults[fault or "empty"] += 1
            else:
                self.accepted += 1
                readings.append(reading)
        return readings


def decode(frame: Frame) -> Reading | None:
    """The reading in a telegram; None when it holds no data set."""
    found = list(datasets(frame.data))
    if not found:
        return None
    registers: dict[str, RegisterValue] = {}
    for one in found:
        obis, register = one.obis, one.register
        if obis is not None and register is not None:
            registers.setdefault(obis, register)
    name = _name({one.obis or one.code: one for one in reversed(found)})
    return Reading(_meter_id(name), None, registers, identification=name)


def _name(found: Mapping[str, Dataset]) -> str | None:
    for code in _NAMES:
        text = found[code].values[0].replace(" ", "") if code in found else ""
        if _HEX.fullmatch(text):  # DSMR writes each character as two hex digits
            text = bytes.fromhex(text).decode("ascii").replace(" ", "")
        if text.isascii() and text.isprintable() and not _VOID.fullmatch(text):
            return text.upper()
    return None


def _meter_id(name: str | None) -> MeterId | None:
    try:
        return None if name is None else MeterId.parse(name)
    except IdentifierError:
        return None
