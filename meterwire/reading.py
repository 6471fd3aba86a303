"""What a meter interface delivers: the meter's identity and every register it sent, with exact decimal values."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from meterwire.ids import MeterId


@dataclass(frozen=True, slots=True)
class RegisterValue:
    """One register as the meter sent it, scaler applied.

    `unit` is the unit's symbol (None: the meter named none), `scaler` the power of ten it came with, which tells the
    resolution, `status` the meter's own status word. Entries that are no number (device id, public key) have `value`
    None and their `octets`.
    """

    value: Decimal | None
    unit: str | None
    scaler: int | None
    status: int | None = None
    octets: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading: `registers` by full OBIS code, `1-0:1.8.0*255`; `sensor_time` is the meter's own seconds index.

    `identification` is the meter's own name where it is a text and no server id (IEC 62056-21).
    """

    meter_id: MeterId | None
    server_id: bytes | None
    registers: Mapping[str, RegisterValue]
    sensor_time: int | None = None
    identification: str | None = None

    def to_json(self) -> dict[str, Any]:
        """`{"meter_id": "1EMH0012345678", "server_id": "0A01...", "registers": {obis: {"value", "unit"}}}`.

        An unknown id is None; a meter that names itself by a text adds `identification`. Values are exact decimal texts
        without an exponent; entries that are no number add `octets` (hex).
        """
        named = {} if self.identification is None else {"identification": self.identification}
        return {
            "meter_id": None if self.meter_id is None else str(self.meter_id),
            "server_id": None if self.server_id is None else self.server_id.hex().upper(),
            **named,
            "registers": {obis: _register(entry) for obis, entry in self.registers.items()},
        }


def _register(entry: RegisterValue) -> dict[str, Any]:
    shown: dict[str, Any] = {"value": None if entry.value is None else f"{entry.value:f}", "unit": entry.unit}
    if entry.octets is not None:
        shown["octets"] = entry.octets.hex()
    return shown
