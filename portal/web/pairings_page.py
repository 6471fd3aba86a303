"""What the page of one pairing shows: how it came about, how far it is, and whether the right meter is read."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from meterwire.identity import shown
from meterwire.ids import MeterId
from portal.telemetry.commissioning import first_reading
from portal.telemetry.quarantine import Held, quarantined
from portal.web import figures, states
from portal.web.access import Access
from portal.web.pairings import name_of
from portal.web.states import State
from provisioning.pairing.models import Configuration, Pairing
from provisioning.pairing.queries import visible_pairings

MAX_HISTORY = 50
SETTLED = timedelta(days=60)  # an older one is not searched for readings that belong to nobody
OFFLINE = timedelta(minutes=2)  # between scan and claim: the phone had no network
# Display units in the unit of their kind: kilowatt hours, cubic metres.
_UNITS: dict[str, tuple[str, Decimal | int]] = {
    "kWh": ("kWh", 1),
    "Wh": ("kWh", Decimal("0.001")),
    "MWh": ("kWh", 1000),
    "m³": ("m³", 1),
}
_UNITS["l"] = ("m³", Decimal("0.001"))
NEAR = {"kWh": Decimal(1), "m³": Decimal("0.1")}  # a display that was read a little earlier is this near


@dataclass(frozen=True, slots=True)
class Compared:
    """The display as it was typed, the first reading, and what their difference says."""

    display: str
    reading: str
    obis: str
    reading_at: datetime | None
    state: State | None


def offline(pairing: Pairing, claimed_at: datetime) -> str:
    """How long after the scan the claim arrived, when the phone was without network; else empty."""
    if pairing.scanned_at is None or claimed_at - pairing.scanned_at < OFFLINE:
        return ""
    return figures.span((claimed_at - pairing.scanned_at).total_seconds())


def held(pairing: Pairing) -> Held | None:
    """Readings that belong to nobody, while somebody may still decide whose they are."""
    settled = timezone.now() - (pairing.to_at or pairing.from_at) > SETTLED
    if settled and pairing.identity != Pairing.Identity.MISMATCH:
        return None
    found = quarantined(pairing)
    return found if found.count else None


def history(access: Access, pairing: Pairing) -> list[tuple[Pairing, str]]:
    """All pairings of its metering point with who made them, newest first."""
    rows = visible_pairings(access.user, access.organisation).select_related("claimed_by")
    rows = rows.filter(metering_point=pairing.metering_point_id).order_by("-from_at", "-pk")[:MAX_HISTORY]
    return [(row, name_of(row.claimed_by)) for row in rows]


def configuration_of(pairing: Pairing) -> tuple[Configuration | None, State]:
    """What the adapter should run and runs."""
    row = Configuration.objects.filter(adapter=pairing.adapter_id).first()
    if row is None or not row.version:
        return row, State("idle", _("nothing wanted"))
    if row.running == row.version:
        return row, State("ok", _("runs version {n}").format(n=row.version))
    if row.reported.get("refusal"):
        return row, State("bad", _("refused by the adapter"))
    if row.sent_at is not None:
        return row, State("warn", _("on its way"))
    return row, State("warn", _("to be sent"))


def sight(access: Access, pairing: Pairing) -> dict[str, Any]:
    """For templates: the pairing's state, what the meter calls itself, and display and first reading side by side."""
    return {
        "state": states.of_pairing(pairing),
        "registered": MeterId.parse(pairing.meter.meter_id).display if pairing.meter else "",
        "read": shown(bytes.fromhex(pairing.identity_read)) if pairing.identity_read else "",
        "compared": compared(pairing) if access.may("readings.view") else None,
    }


def compared(pairing: Pairing) -> Compared:
    """The display as it was typed beside the first reading."""
    first = first_reading(pairing)
    if first is None:
        return Compared(_display(pairing), "", "", None, None)
    value, unit = Decimal(first["value"]), {"m3": "m³"}.get(first["unit"], first["unit"])
    digits = max(0, -int(value.as_tuple().exponent))
    return Compared(
        _display(pairing),
        f"{figures.figure(value, digits)} {unit}",
        first["obis"].partition(":")[2],
        datetime.fromisoformat(first["measured_at"]),
        _difference(pairing, value, unit),
    )


def _display(pairing: Pairing) -> str:
    if pairing.display_value is None:
        return ""
    digits = 3 if pairing.display_value % 1 else 0
    return f"{figures.figure(pairing.display_value, digits)} {pairing.display_unit}"


def _difference(pairing: Pairing, value: Decimal, unit: str) -> State | None:
    kind, factor = _UNITS.get(pairing.display_unit, ("", 1))
    if pairing.display_value is None or kind != unit or kind not in NEAR:
        return None
    difference = value - pairing.display_value * factor
    if abs(difference) <= NEAR[kind]:
        return State("ok", _("they agree"))
    text = f"{'+' if difference > 0 else ''}{figures.figure(difference, 3)} {unit}"
    return State("bad", _("they differ by {difference}").format(difference=text))
