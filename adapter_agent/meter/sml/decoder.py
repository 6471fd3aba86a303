"""From the bytes of an SML meter to readings: frames, their lists, and what makers do differently."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from adapter_agent.meter.sml.frame import Frame, FrameScanner
from adapter_agent.meter.sml.message import Entry, MeterList, meter_lists
from adapter_agent.meter.sml.tlv import Number, SmlError
from adapter_agent.meter.units import UNITS
from meterwire.ids import meter_id_of
from meterwire.reading import Reading, RegisterValue

_DZG_MAKER = bytes.fromhex("0a01445a47")
_DZG_UNSIGNED_SERIALS = (range(42_000_000, 49_000_000), range(55_000_000, 59_000_000))
_ACTIVE_POWER = "1-0:16.7.0*255"


class SmlMeter:
    """Meter interface `sml`. A frame with any fault in it is refused as a whole and counted under the fault's code."""

    def __init__(self) -> None:
        self.accepted = 0
        self._scanner = FrameScanner()
        self._faults: Counter[str] = Counter()

    @property
    def refused(self) -> Counter[str]:
        return self._scanner.refused + self._faults

    def feed(self, data: bytes) -> list[Reading]:
        readings: list[Reading] = []
        for frame in self._scanner.feed(data):
            try:
                readings += decode(frame)
            except SmlError as fault:
                self._faults[fault.code] += 1
            else:
                self.accepted += 1
        return readings

    def close(self) -> list[Reading]:
        self._scanner.close()
        return []


def decode(frame: Frame) -> list[Reading]:
    """The readings of one frame: none when it carries no list, in practice one. Raises SmlError."""
    return [_reading(meter) for meter in meter_lists(frame.payload)]


def _reading(meter: MeterList) -> Reading:
    return Reading(
        meter_id=None if meter.server_id is None else meter_id_of(meter.server_id),
        server_id=meter.server_id,
        registers=dict(_registers(meter)),
        sensor_time=meter.sensor_time,
    )


def _registers(meter: MeterList) -> Iterator[tuple[str, RegisterValue]]:
    for entry in meter.entries:
        if isinstance(entry.value, Number):
            raw = _as_meant(entry, entry.value, meter.server_id)
            value = Decimal(raw) if entry.scaler is None else Decimal(f"{raw}E{entry.scaler}")
        elif entry.value is None and (entry.unit or entry.scaler is not None):
            value = None  # a register whose value the meter withholds
        else:
            continue  # names and public keys are no registers
        unit = None if entry.unit is None else UNITS.get(entry.unit)
        yield entry.obis, RegisterValue(value, unit, entry.scaler, entry.status)


def _as_meant(entry: Entry, number: Number, server_id: bytes | None) -> int:
    """DZG DVS74 sends power as a signed number of one to three bytes and means an unsigned one (libsml, pull 136)."""
    if (
        number.value < 0
        and number.size <= 3
        and entry.obis == _ACTIVE_POWER
        and server_id is not None
        and len(server_id) == 10
        and server_id.startswith(_DZG_MAKER)
        and any(int.from_bytes(server_id[6:], "big") in serials for serials in _DZG_UNSIGNED_SERIALS)
    ):
        return number.value + (1 << 8 * number.size)
    return number.value
