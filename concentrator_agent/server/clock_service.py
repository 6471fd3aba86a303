"""Answers to TS003's questions for the time (port 202): whole seconds, for every device that asks."""

import logging
from math import floor
from typing import Final

from concentrator_agent.server.dedupe import Uplink
from concentrator_agent.server.timekeeping import Timekeeper
from meterwire.clock_package import AppTimeAns, AppTimeReq, ClockAnswer, ClockForecast, read_up
from meterwire.lorawan.airtime import airtime_s

log = logging.getLogger(__name__)

ANSWER_OCTETS: Final = 13 + 1 + ClockAnswer.LENGTH + 1 + ClockForecast.LENGTH  # a PHYPayload with an answer alone

_RANGE: Final = 1 << 32


def requests(payload: bytes, dev_eui: str) -> list[AppTimeReq]:
    """The questions for the time in an uplink of port 202; the answers to commands of ours need nothing done."""
    commands, wrong = read_up(payload)
    if wrong is not None:
        log.info("clock package not readable to its end", extra={"dev_eui": dev_eui, "error": str(wrong)})
    return [command for command in commands if isinstance(command, AppTimeReq)]


def ahead_s(asked: AppTimeReq, uplink: Uplink, keeper: Timekeeper) -> int:
    """By how many seconds the device says that it is ahead of us. DeviceTime was taken as the frame began, cut."""
    best = uplink.best
    began = keeper.gps(best.received_at) - airtime_s(len(uplink.phy), best.dr)
    return (asked.device_time - floor(began) + _RANGE // 2) % _RANGE - _RANGE // 2


def answer(asked: list[AppTimeReq], uplink: Uplink, keeper: Timekeeper) -> bytes | None:
    """AppTimeAns to the last question; None where the clock is right and no answer required, or ours worth nothing."""
    if not asked or not keeper.may_tell(uplink.best.time_quality):
        return None
    correction = -ahead_s(asked[-1], uplink, keeper)
    if correction == 0 and not asked[-1].answer_required:
        return None
    return AppTimeAns(correction, asked[-1].token).encode()
