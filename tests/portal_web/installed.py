"""Pairings as installers make them, stopped at any station, for the tests of pages and for looking at them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from meterwire.ids import MeterId
from portal.telemetry.models import Reading
from provisioning.fleet.models import MeteringPoint
from provisioning.pairing import services
from provisioning.pairing.models import Configuration, Pairing, PairingStep
from tests.portal_web.world import World

Step = PairingStep.Step
AFTER_S = {Step.INFORMED: 2, Step.JOINED: 8, Step.CONFIGURED: 13, Step.IDENTITY: 15, Step.READING: 17}
READING = {"obis": "1-0:1.8.0", "value": "12345.6780", "unit": "kWh"}


@dataclass
class Installed:
    """Pairs in the world's building with the installer's hands."""

    world: World

    def pairing(self, until: str = Step.READING, *, ago: timedelta = timedelta(minutes=5), **said: Any) -> Pairing:
        """Pending, having reached the station `until`; `said` are fields of the claim, such as its note."""
        cast, at = self.world.cast, self.world.now - ago
        adapter = cast.keyed_adapter(self.world.site, self.world.concentrator)
        point = said.pop("point", None) or self.point()
        made = services.pair(cast.installer, adapter, point, from_at=at)
        Pairing.objects.filter(pk=made.pk).update(**said)
        for step, seconds in AFTER_S.items():
            if until in (Step.CLAIMED, Step.PAIRED):
                break
            reached = at + timedelta(seconds=seconds)
            services.record_step(made.pk, step, reached, self._detail(step, reached))
            if step == until:
                break
        made.refresh_from_db()
        return made

    def point(self) -> MeteringPoint:
        """A metering point with its meter."""
        point = self.world.cast.metering_point(self.world.site)
        self.world.cast.meter(point)
        return point

    def matched(self, **said: Any) -> Pairing:
        """Confirmed by the sealed proof."""
        made = self.pairing(**said)
        assert made.meter is not None
        self._found(made, "match", bytes.fromhex(made.meter.server_id), "sealed")
        return made

    def unreadable(self, **said: Any) -> Pairing:
        """The meter tells nothing."""
        made = self.pairing(**said)
        self._found(made, "unreadable", b"", "report")
        return made

    def mismatch(self, other: Pairing | None = None, held: int = 0, **said: Any) -> Pairing:
        """It reads the meter of `other` (None: one that nobody knows); `held` readings came of it."""
        made = self.pairing(**said)
        number = other.meter.meter_id if other is not None and other.meter else "1EMH0077777777"
        self._found(made, "mismatch", MeterId.parse(number).server_id(), "sealed")
        for back in range(held):
            at = made.from_at + timedelta(seconds=20 + back)
            Reading.objects.create(
                adapter=made.adapter, counter=1000 + back, register=1, measured_at=at, value=7000 + back
            )
        return made

    def _found(self, pairing: Pairing, outcome: str, octets: bytes, proof: Any) -> None:
        services.found_identity(pairing, outcome, octets, pairing.from_at + timedelta(seconds=16), proof)
        pairing.refresh_from_db()
        Configuration.objects.filter(adapter=pairing.adapter).update(running=1, reported={"firmware": "1.4.2"})

    @staticmethod
    def _detail(step: str, at: datetime) -> dict[str, Any]:
        if step == Step.READING:
            return {**READING, "measured_at": at.isoformat()}
        return {"rssi": -87.0} if step == Step.JOINED else {}


def typed(value: str) -> dict[str, Any]:
    """What the installer typed from the display."""
    return {"display_value": Decimal(value), "display_unit": "kWh"}
