"""From data records to registers of the dictionary, by device type; what has no place there is skipped."""

from collections.abc import Iterable, Mapping
from typing import Final

from meterwire.reading import Reading, RegisterValue
from meterwire.wmbus.address import Address
from meterwire.wmbus.quantities import Meaning, Quantity, meaning_of
from meterwire.wmbus.records import INSTANTANEOUS, Record

_ELECTRICITY: Final = frozenset((0x02,))
_PHASED: Final = {
    Quantity.POWER: ("16.7.0", "36.7.0", "56.7.0", "76.7.0"),
    Quantity.VOLTAGE: (None, "32.7.0", "52.7.0", "72.7.0"),
    Quantity.CURRENT: (None, "31.7.0", "51.7.0", "71.7.0"),
    Quantity.FREQUENCY: ("14.7.0", None, None, None),
}
_OTHERS: Final[Mapping[tuple[int, Quantity], str]] = {
    (0x03, Quantity.VOLUME): "7-0:3.0.0",
    (0x04, Quantity.ENERGY): "6-0:1.0.0",
    (0x06, Quantity.VOLUME): "9-0:1.0.0",
    (0x07, Quantity.VOLUME): "8-0:1.0.0",
    (0x08, Quantity.HEAT_COST): "4-0:1.0.0",
    (0x0A, Quantity.ENERGY): "5-0:1.0.0",
    (0x0B, Quantity.ENERGY): "5-0:1.0.0",
    (0x0C, Quantity.ENERGY): "6-0:1.0.0",
    (0x0D, Quantity.ENERGY): "6-0:1.0.0",
    (0x15, Quantity.VOLUME): "9-0:1.0.0",
    (0x16, Quantity.VOLUME): "8-0:1.0.0",
}


def reading_of(records: Iterable[Record], address: Address, *, wired: bool) -> Reading:
    """The present values among `records` of the meter at `address`; where a register comes twice, the first counts."""
    registers: dict[str, RegisterValue] = {}
    for record in records:
        found = _register(record, address.device_type)
        if found is not None:
            registers.setdefault(*found)
    return Reading(address.meter_id, address.server_id(wired=wired), registers)


def _register(record: Record, device_type: int) -> tuple[str, RegisterValue] | None:
    if record.function != INSTANTANEOUS or record.storage or record.subunit:
        return None
    meaning, number = meaning_of(record.vif), record.number
    if meaning is None or number is None:
        return None
    obis = _electric(meaning, record.tariff) if device_type in _ELECTRICITY else _other(meaning, record, device_type)
    if obis is None:
        return None
    scaler = meaning.exponent if record.exact and meaning.divisor == 1 else None
    return f"{obis}*255", RegisterValue(meaning.value(number), meaning.unit, scaler)


def _electric(meaning: Meaning, tariff: int) -> str | None:
    if meaning.quantity in _PHASED:
        code = _PHASED[meaning.quantity][meaning.phase]
        return None if code is None or tariff or meaning.export else f"1-0:{code}"
    if meaning.phase:
        return None
    if meaning.quantity is Quantity.ENERGY and tariff <= 2:
        return f"1-0:{2 if meaning.export else 1}.8.{tariff}"
    if meaning.quantity is Quantity.REACTIVE_ENERGY and not tariff:
        return f"1-0:{4 if meaning.export else 3}.8.0"
    return None


def _other(meaning: Meaning, record: Record, device_type: int) -> str | None:
    if record.tariff or meaning.phase or meaning.export:
        return None
    return _OTHERS.get((device_type, meaning.quantity))
