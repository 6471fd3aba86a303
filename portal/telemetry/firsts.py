"""The first reading of a pairing, as it stands beside the meter's display."""

from datetime import datetime, timedelta
from typing import Any

from meterwire.registers import IDENTITY, REGISTERS
from portal.telemetry.models import Reading, Telegram
from provisioning.pairing.models import Pairing

RECENT = timedelta(days=7)  # of an older pairing, the first reading of the last week will do
FEW = 60  # rows of the first telegrams
TOTAL = 1  # dictionary index of import, total: what a display shows


def first_arrived(pairing: Pairing, now: datetime) -> dict[str, Any] | None:
    """{at (of reception), obis, value, unit, measured_at} of the pairing's first reading; None before it.

    `value` is exact decimal text, energy in kWh; empty while it stays sealed to the portal.
    """
    registers = range((pairing.input << 5) + 1, (pairing.input << 5) + IDENTITY)
    rows = Reading.objects.filter(
        adapter_id=pairing.adapter_id, register__in=registers, measured_at__gte=max(pairing.from_at, now - RECENT)
    ).order_by("measured_at", "counter")
    found = list(rows[:FEW])
    if not found:
        return None
    opened = [row for row in found if row.value is not None] or found
    first = [row for row in opened if row.counter == opened[0].counter]
    row = min(first, key=lambda one: (one.register & 31 != TOTAL, one.register))
    telegram = Telegram.objects.filter(adapter=row.adapter_id, counter=row.counter, error=None).first()
    value, unit = displayed(row.register, row.value)
    return {
        "at": row.measured_at if telegram is None else telegram.received_at,
        "obis": REGISTERS[row.register & 31].obis,
        "value": value,
        "unit": unit,
        "measured_at": row.measured_at.isoformat(),
    }


def displayed(register: int, value: int | None) -> tuple[str, str]:
    """A telegram's integer as displays show it: (exact decimal text, unit), energy in kWh."""
    found = REGISTERS[register & 31]
    unit = found.unit
    if value is None:
        return "", unit
    quantity = found.quantity(value)
    if unit == "Wh":
        quantity, unit = quantity.scaleb(-3), "kWh"
    return f"{quantity:f}", unit
