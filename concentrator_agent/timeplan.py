"""How time is divided at this concentrator: as the portal plans it, else as its own settings say."""

import logging
from typing import Final

import msgspec

from concentrator_agent.config import BeaconSettings
from meterwire.lorawan.plan import FrequencyPlanError, Region
from meterwire.time_entries import BeaconEntry, OpenTimeEntry, PlanEntry

log = logging.getLogger(__name__)

PLAN: Final = "plan"  # the setting in the store


class TimePlan:
    """The beacon and the open time that hold now; None where there is none.

    `planned` None: the portal plans nothing, so the `own` settings hold, and answers go out whenever a device asks.
    """

    def __init__(self, own: BeaconSettings, region: Region, stored: bytes | None = None) -> None:
        self._own = own
        self._region = region
        self._hold(decode_plan(stored))

    def follow(self, planned: PlanEntry | None) -> None:
        """Another revision of the device table holds."""
        if planned != self.planned:
            self._hold(planned)
            log.info("another plan of time", extra={"beacon": self.beacon, "open_time": self.open_time})

    def fault(self, planned: PlanEntry | None) -> str | None:
        """Why a plan cannot be followed here; None for one that can."""
        if planned is None:
            return None
        for what, entry in (("the beacon", planned.beacon), ("open time", planned.open_time)):
            if entry is not None and entry.phase_ms >= entry.period_s * 1000:
                return f"{what} begins at {entry.phase_ms} ms, outside its period of {entry.period_s} s"
        if planned.open_time is not None and planned.open_time.length_ms >= planned.open_time.period_s * 1000:
            return f"open time of {planned.open_time.length_ms} ms fills its period of {planned.open_time.period_s} s"
        if planned.beacon is not None:
            try:
                self._region.sub_band(planned.beacon.frequency_hz)
            except FrequencyPlanError as error:
                return f"the beacon: {error}"
        return None

    def _hold(self, planned: PlanEntry | None) -> None:
        self.planned = planned
        self.open_time: OpenTimeEntry | None = None if planned is None else planned.open_time
        self.beacon: BeaconSettings | None = self._own if self._own.enabled else None
        if planned is not None:
            self.beacon = None if planned.beacon is None else _settings(planned.beacon)


def encode_plan(planned: PlanEntry | None) -> bytes:
    """What `decode_plan` takes."""
    return msgspec.json.encode(planned)


def decode_plan(stored: bytes | None) -> PlanEntry | None:
    """A stored plan; one that cannot be read is none, and the next table brings it again."""
    if stored is None:
        return None
    try:
        return msgspec.json.decode(stored, type=PlanEntry | None)
    except msgspec.DecodeError:
        log.warning("the stored plan of time cannot be read; the own settings hold")
        return None


def _settings(beacon: BeaconEntry) -> BeaconSettings:
    return BeaconSettings(
        enabled=True,
        frequency_hz=beacon.frequency_hz,
        data_rate=beacon.data_rate,
        period_s=beacon.period_s,
        phase_ms=beacon.phase_ms,
    )
