"""Port 202 on the adapter: asks for the time when the slot needs it, takes the answers, answers TS003's requests."""

import logging
from collections import deque
from random import Random
from typing import Final

from adapter_agent.own_slot import OwnSlot
from adapter_agent.pace import Pace
from adapter_agent.timekeeping import Timekeeping
from edge.clock import Clock
from meterwire.clock_package import (
    QUARTER_S,
    AppTimeReq,
    ClockAnswer,
    ClockForecast,
    ClockQuality,
    DeviceAppTimePeriodicityAns,
    DeviceAppTimePeriodicityReq,
    ForceDeviceResyncReq,
    PackageVersionAns,
    PackageVersionReq,
    Up,
    read_down,
)
from meterwire.lorawan.gpstime import gps_seconds

log = logging.getLogger(__name__)

ASK_SHARE: Final = 0.5  # of the guard: a clock that will be more uncertain asks …
URGENT_SHARE: Final = 0.8  # … and does not let the next chance pass …
TOLD_ASK_SHARE: Final = 0.8  # … the same where the network's forecast says so, which watches all the time …
TOLD_URGENT_SHARE: Final = 0.9
CHECK_S: Final = 1.0  # a clock that only beacons have corrected, and that might be so wrong, asks too
LOST_SHARE: Final = 1.0  # … and one that the slot cannot trust any more asks in every way
AGAIN_S: Final = (60.0, 3600.0)
SPREAD_S: Final = 60.0  # many adapters lose the same concentrator's time together
OPEN_TIMES: Final = 3
MAX_WAITING: Final = 4
TOKENS: Final = 16


class ClockTalk:
    """Times are monotonic seconds. Without a slot it asks for nothing."""

    def __init__(self, time: Timekeeping, slot: OwnSlot, clock: Clock, random: Random) -> None:
        self._time, self._slot, self._clock, self._random = time, slot, clock, random
        self._ask = Pace(*AGAIN_S)
        self._answers: deque[Up] = deque(maxlen=MAX_WAITING)
        self._token, self._asking, self._urgent = 0, False, False

    def take(self, payload: bytes) -> bool:
        """A downlink on port 202; whether the clock was set by it."""
        commands, error = read_down(payload)
        if error is not None:
            log.warning("what follows in a downlink on port 202 is refused: %s", error, extra={"code": error.code})
        taken = False
        for command, behind in zip(commands, [*commands, None][1:], strict=True):
            match command:
                case ClockAnswer():
                    forecast = behind if isinstance(behind, ClockForecast) else None
                    taken = self._answered(command, forecast) or taken
                case PackageVersionReq():
                    self._answers.append(PackageVersionAns())
                case DeviceAppTimePeriodicityReq():
                    self._answers.append(DeviceAppTimePeriodicityAns(self._device_time(), not_supported=True))
                case ForceDeviceResyncReq() if command.transmissions:
                    self._answers.append(self._request())
        return taken

    def asks_along(self) -> bool:
        """Whether DeviceTimeReq should go with whatever is sent next."""
        return self._slot.uncertain(LOST_SHARE)

    def due(self) -> float | None:
        """When to send `next`; None while there is nothing to say."""
        if self._answers:
            return self._clock.monotonic()
        now = self._clock.monotonic()
        ask, at_once = (ASK_SHARE, URGENT_SHARE) if not self._slot.foretold else (TOLD_ASK_SHARE, TOLD_URGENT_SHARE)
        needed = self._slot.uncertain(ask) or self._slot.unvouched >= CHECK_S or self._slot.strained
        urgent = self._slot.uncertain(at_once)
        if needed and not self._asking:
            self._ask.restart(now + self._random.uniform(0.0, SPREAD_S if urgent else self._spread_s))
        elif urgent and not self._urgent:
            self._ask.due = min(self._ask.due, now + self._random.uniform(0.0, SPREAD_S))
        self._asking, self._urgent = needed, urgent
        return self._ask.due if needed else None

    def next(self) -> bytes:
        """The payload to send now."""
        if self._answers:
            return self._answers.popleft().encode()
        self._ask.later(self._clock.monotonic())
        self._ask.due += self._random.uniform(0.0, SPREAD_S)
        return self._request().encode()

    @property
    def _spread_s(self) -> float:
        """A minute; some open times where it keeps to those."""
        period_s = self._slot.open_period_s
        return SPREAD_S if period_s is None else OPEN_TIMES * period_s

    def _answered(self, answer: ClockAnswer, forecast: ClockForecast | None) -> bool:
        if answer.quality is ClockQuality.NONE:
            log.info("a clock answer of no quality is not used")
            return False
        return self._time.answered(
            answer.fcnt_low,
            answer.offset_us / 1e6,
            answer.rate_ppb / 1e9,
            answer.uncertainty_ms / 1000,
            leap_soon=answer.leap_soon,
            holds_s=0.0 if forecast is None else forecast.quarters * QUARTER_S,
            drift=0.0 if forecast is None else forecast.drift_ppb / 1e9,
        )

    def _request(self) -> AppTimeReq:
        self._token = (self._token + 1) % TOKENS
        return AppTimeReq(self._device_time(), self._token, answer_required=True)

    def _device_time(self) -> int:
        """GPS seconds of this clock, which TS003 wants to know; 0 while it has none."""
        unix = self._time.unix()
        return 0 if unix is None else int(gps_seconds(unix)) & 0xFFFFFFFF
