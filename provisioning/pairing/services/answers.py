"""What a pairing request says, and what it is answered: the same answer again for the same key."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

from provisioning.fleet.models import MeteringPoint, Site
from provisioning.pairing.models import Pairing


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """Two raw scans and what the installer adds. The adapter's scan carries its owner token: it stays out of `repr`."""

    adapter_scan: str = field(repr=False)
    meter_scan: str
    site: Site | None = None
    metering_point: MeteringPoint | None = None
    input: int = 0
    note: str = ""
    display_value: Decimal | None = None
    display_unit: str = "kWh"
    scanned_at: datetime | None = None

    def digest(self) -> str:
        """Tells another request under the same key from a repetition."""
        facts = {
            "adapter_scan": self.adapter_scan,
            "meter_scan": self.meter_scan,
            "site": self.site and self.site.pk,
            "metering_point": self.metering_point and self.metering_point.pk,
            "input": self.input,
            "note": self.note,
            "display": [None if self.display_value is None else str(self.display_value), self.display_unit],
            "scanned_at": self.scanned_at and self.scanned_at.isoformat(),
        }
        return sha256(json.dumps(facts, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` as in HTTP; `body` JSON: the pairing's facts (201), else code, message and what helps."""

    status: int
    body: dict[str, Any]
    pairing: Pairing | None = None


class Refusal(Exception):
    """A claim that cannot be granted. `kept`: a repetition gets this answer again, whatever has changed since."""

    def __init__(self, status: int, code: str, message: str, *, kept: bool = True, **extra: Any) -> None:
        super().__init__(code)
        self.kept = kept
        self.answer = Answer(status, {"code": code, "message": message, **extra})


def facts_of(pairing: Pairing) -> dict[str, Any]:
    """A pairing as its claim is answered: the fields of the API's pairings."""
    return {
        "id": pairing.pk,
        "adapter": pairing.adapter_id,
        "input": pairing.input,
        "metering_point": pairing.metering_point_id,
        "meter": pairing.meter_id,
        "register_group": pairing.register_group,
        "state": str(pairing.state),
        "identity": str(pairing.identity),
        "from_at": _utc(pairing.from_at),
        "to_at": pairing.to_at and _utc(pairing.to_at),
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
