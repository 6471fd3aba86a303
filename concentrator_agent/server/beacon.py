"""Sends the beacon at its phase, through the gateway's own counter, while the concentrator's clock may set others."""

import logging
import math
from collections.abc import Callable
from typing import Final

from concentrator_agent.config import BeaconSettings
from concentrator_agent.radio.base import Transmission
from concentrator_agent.server.clock import ReceptionClock
from concentrator_agent.server.downlink import Downlink
from concentrator_agent.server.timekeeping import Timekeeper, wire_quality
from edge.clock import Clock
from meterwire.beacon import Beacon

log = logging.getLogger(__name__)

LOOK_S: Final = 10.0  # so soon another plan is followed
AHEAD_S: Final = 1.0  # a forwarder takes it that long before; its queue holds it till then
MAX_POWER_DBM: Final = 27
UNCERTAINTY_MS: Final = 2  # of the counter's tie to our clock


class BeaconSender:
    """`settings` are asked for anew each time; None: no beacon is sent now. `gateways`: the EUIs of those online.

    One of them sends: two at once would disturb each other.
    """

    def __init__(
        self,
        settings: Callable[[], BeaconSettings | None],
        eui: str,
        *,
        clock: Clock,
        keeper: Timekeeper,
        reception_clock: ReceptionClock,
        downlink: Downlink,
        gateways: Callable[[], list[str]],
    ) -> None:
        self._settings = settings
        self._name = bytes.fromhex(eui)[-4:]
        self._clock = clock
        self._keeper = keeper
        self._reception_clock = reception_clock
        self._downlink = downlink
        self._gateways = gateways

    async def run(self, progress: Callable[[], None] = lambda: None) -> None:
        """Until cancelled."""
        while True:
            progress()
            begin = self.next_at()
            until = LOOK_S if begin is None else begin - AHEAD_S - self._clock.time()
            if begin is None or until > 0:
                await self._clock.sleep(min(until, LOOK_S))  # the clock may be set meanwhile, the plan change
                continue
            outcome = await self.send(begin)
            if outcome != "sent":
                log.info("no beacon", extra={"reason": outcome})
            await self._clock.sleep(begin - self._clock.time() + 0.001)

    def next_at(self) -> float | None:
        """The Unix time of the next beacon's start; None while none is sent."""
        settings = self._settings()
        if settings is None:
            return None
        phase, period = settings.phase_ms / 1000, settings.period_s
        now = self._clock.time()
        shift = self._keeper.slot_time(now) - now
        return math.ceil((now + shift - phase) / period) * period + phase - shift

    async def send(self, begin: float) -> str:
        """Hand one beacon for `begin` (Unix s) to a gateway: "sent", or why not."""
        settings, quality = self._settings(), self._keeper.quality()
        if settings is None:
            return "none"
        if not self._keeper.may_tell(quality):
            return "clock"
        beacon = Beacon(
            self._name,
            round(self._keeper.gps(begin) * 1000),
            UNCERTAINTY_MS,
            wire_quality(quality),
            self._keeper.leap_soon,
        )
        reason = "no_gateway"
        for gateway in sorted(self._gateways()):
            counter = self._reception_clock.counter(gateway, begin)
            if counter is None:
                continue
            wanted = Transmission(
                beacon.encode(), gateway, counter, settings.frequency_hz, settings.data_rate, MAX_POWER_DBM
            )
            reason = await self._downlink.broadcast(wanted, begin)
            if reason == "sent":
                break
        return reason
