"""Follows the clock of every device that has a slot, tells it how that runs, and the portal how the slot is kept.

An arrival counts when it came on the slot's channel at its data rate, near the planned moment: everything else is not
sent by the slot. Answers go to the uplink that was measured, or not at all: the next one is measured anew. Only where
slots leave no room for that, a question for the time in open time is answered by what was measured before.
"""

from typing import Final

import msgspec

from concentrator_agent.events import Events
from concentrator_agent.server import clock_service
from concentrator_agent.server.answers import content_s, forecast
from concentrator_agent.server.dedupe import Uplink
from concentrator_agent.server.disagreement import Disagreement
from concentrator_agent.server.proposals import FEWEST, propose
from concentrator_agent.server.sessions import Device
from concentrator_agent.server.timekeeping import Timekeeper, wire_quality
from concentrator_agent.server.track import Track, decode_track
from concentrator_agent.slot_book import SlotBook
from concentrator_agent.timeplan import TimePlan
from edge.outbox import Entry
from meterwire.clock_filter import ClockFilter
from meterwire.clock_package import (
    MAX_UNCERTAINTY_MS,
    OFFSET_LIMIT_US,
    AppTimeReq,
    ClockAnswer,
    ForceDeviceResyncReq,
)
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.plan import Region
from meterwire.messages import TimeQuality
from meterwire.slots import FREQUENCIES_HZ, Slot

STAMPS_S: Final[dict[TimeQuality, float]] = {"gps": 0.0005, "ntp": 0.001, "free": 0.001, "none": 0.001}
FURTHEST_S: Final = 5.0  # from its planned moment a frame may lie and still be meant for it
REPORT_EVERY_S: Final = 3600.0
PROPOSE_EVERY_S: Final = 86_400.0
MAX_KEPT: Final = 128  # deviations between two reports
OUTSIDE_ALARM: Final = 8  # frames outside that are reported though none came inside
FIRST_REPORT: Final = 10  # frames in a new slot that are reported without waiting for the hour
BESIDE: Final = 4  # frames outside in a row: a device that is wrong without knowing it is told to ask
RESYNC_EVERY_S: Final = 3600.0
CONTRADICTS_S: Final = 2  # between a device's own whole seconds and ours


class Measured(msgspec.Struct, frozen=True):
    """What an uplink led to: bytes for the store, events for the portal, a payload for port 202."""

    state: bytes
    entries: tuple[Entry, ...] = ()
    answer: bytes | None = None
    is_clock: bool = True  # the answer is one that the track reckons with


class Tracking:
    """Measures uplinks in slots. One for the whole concentrator; tracks are with their devices."""

    def __init__(self, keeper: Timekeeper, events: Events, plan: Region, book: SlotBook, time: TimePlan) -> None:
        self._plan = plan
        self._keeper = keeper
        self._events = events
        self._book = book
        self._time = time
        self._disagreement = Disagreement()

    def measure(self, device: Device, uplink: Uplink, fcnt: int, *, answerable: bool = True) -> Measured:
        """Take one new telegram of a device that has a slot. `answerable`: there is room for an answer to it."""
        slot, best = device.slot, uplink.best
        assert slot is not None
        end = self._keeper.slot_time(best.received_at)
        track = self._track(device, slot, end)
        airtime = airtime_s(len(uplink.phy), best.dr)
        begin = end - airtime
        window = slot.window(end, airtime)
        ours = best.dr == slot.data_rate and best.freq == FREQUENCIES_HZ[slot.channel]
        answer, is_clock = None, True
        if ours and abs(window.offset_s) <= min(FURTHEST_S, slot.period_s / 4):
            self._take(track, begin, -window.offset_s, best.time_quality, window.guard_s)
            track.snrs = [*track.snrs[1 - FEWEST :], round(best.snr)]
            self._book.attendance.came(int(device.dev_eui, 16), window.begin)
            if answerable and self._due(slot, track, begin, best.time_quality):
                answer = self._answer(slot, track, begin, best.time_quality, fcnt)
            track.beside = 0
        else:
            track.outside += 1
            track.beside += 1
            if answerable and self._must_ask(track, begin, best.time_quality):
                answer, is_clock = ForceDeviceResyncReq(1).encode(), False
        entries = self._report(device.dev_eui, track, begin, end), self._propose(device.dev_eui, slot, track, begin)
        return Measured(track.encode(), tuple(entry for entry in entries if entry is not None), answer, is_clock)

    def asked(self, device: Device, uplink: Uplink, fcnt: int, question: AppTimeReq) -> Measured | None:
        """The device wants an answer: its next telegram in its slot gets one.

        With open time in the plan it gets it at once, if what is known of its clock is worth its slot's guard. A device
        whose own words contradict us twice is told so, in whole seconds: it trusts its clock no more and asks further.
        """
        slot = device.slot
        if slot is None:
            return None
        best = uplink.best
        begin = self._keeper.slot_time(best.received_at) - airtime_s(len(uplink.phy), best.dr)
        track = self._track(device, slot, begin)
        track.asked = True
        clock = track.clock
        ahead = 0 if question.device_time == 0 else clock_service.ahead_s(question, uplink, self._keeper)
        before, track.claimed = track.claimed, ahead if abs(ahead) > CONTRADICTS_S else None
        if track.claimed is not None:
            if before is None or abs(ahead - before) > CONTRADICTS_S or not self._keeper.may_tell(best.time_quality):
                return Measured(track.encode())
            answer = self._contradict(track, ahead, best.time_quality, fcnt)
            return Measured(track.encode(), (), answer, is_clock=False)
        if self._time.open_time is None or clock is None or not self._keeper.may_tell(best.time_quality):
            return None
        if clock.outliers or begin < clock.at:
            return None
        clock.reach(begin)
        clock.asked(begin)
        if clock.bound(begin) >= slot.guard_ms / 1000:
            return None
        answer = self._answer(slot, track, begin, best.time_quality, fcnt)
        return Measured(track.encode(), (), answer)

    def may_have_set_its_clock(self, device: Device) -> None:
        """The device asked for the network's time."""
        if isinstance(device.track, Track) and device.track.clock is not None:
            device.track.clock.loosen()

    def unsent(self, device: Device) -> None:
        """The last answer found no way to the device."""
        track = device.track
        if isinstance(track, Track) and track.clock is not None:
            track.clock.unanswered()
            track.budget.left += 1.0
            track.answers = max(0, track.answers - 1)  # it may have been reported already

    def _track(self, device: Device, slot: Slot, now: float) -> Track:
        track = device.track
        if not isinstance(track, Track):
            track = device.track = decode_track(track, slot, now, self._keeper.epoch)
        if track.epoch != self._keeper.epoch:
            track.another_epoch(self._keeper.epoch, now)
        return track

    def _must_ask(self, track: Track, now: float, quality: TimeQuality) -> bool:
        """Whether a device that keeps missing its slot by far is told to ask for the time: it may be wrong unawares."""
        if track.beside < BESIDE or now - track.resync_at < RESYNC_EVERY_S or not self._keeper.may_tell(quality):
            return False
        track.resync_at = now
        return True

    def _contradict(self, track: Track, ahead_s: int, quality: TimeQuality, fcnt: int) -> bytes:
        """As much as a ClockAnswer can say: enough to be doubted, and what is doubted is asked for anew."""
        track.asked = False
        if track.clock is not None:
            track.clock.loosen()
        offset_us = max(-OFFSET_LIMIT_US, min(OFFSET_LIMIT_US - 1, ahead_s * 1_000_000))
        return ClockAnswer(fcnt & 0xFFFF, offset_us, 0, 1000, wire_quality(quality), self._keeper.leap_soon).encode()

    def _take(self, track: Track, begin: float, ahead_s: float, quality: TimeQuality, guard_s: float) -> None:
        if track.clock is None:
            track.clock = ClockFilter.start(begin, ahead_s, STAMPS_S[quality])
        else:
            before = track.clock.settled
            fits = track.clock.measure(begin, ahead_s, STAMPS_S[quality])
            if before:
                slight = self._time.beacon is not None and abs(ahead_s) <= guard_s  # devices may listen to the beacon
                self._keeper.disagreed = self._disagreement.note(begin, fits or slight)
        if len(track.deviations) < MAX_KEPT:
            track.deviations.append(round(-ahead_s * 1000, 1))

    def _due(self, slot: Slot, track: Track, begin: float, quality: TimeQuality) -> bool:
        clock = track.clock
        if clock is None or not clock.settled or clock.at != begin or not self._keeper.may_tell(quality):
            return False
        due = track.budget.due(clock, begin, guard_s=slot.guard_ms / 1000, period_s=float(slot.period_s))
        return due or track.asked

    def _answer(self, slot: Slot, track: Track, begin: float, quality: TimeQuality, fcnt: int) -> bytes:
        """What a clock that is known at `begin` is told, and how long that will do."""
        clock = track.clock
        assert clock is not None
        now = clock.estimate(begin)
        offset_us, rate_ppb = round(now.offset * 1e6), round(clock.mean_rate(begin, track.budget.ahead_s) * 1e9)
        uncertainty = min(MAX_UNCERTAINTY_MS, -(-round(clock.bound(begin) * 1e6) // 1000))
        answer = ClockAnswer(
            fcnt & 0xFFFF, offset_us, rate_ppb, uncertainty, wire_quality(quality), self._keeper.leap_soon
        )
        guard_s = slot.guard_ms / 1000
        holds = forecast(clock, begin, rate_ppb / 1e9, guard_s)
        content = content_s(holds, uncertainty / 1000, guard_s=guard_s, period_s=slot.period_s)
        payload = answer.encode() + (b"" if holds is None else holds.encode())
        clock.answer(offset_us / 1e6, rate_ppb / 1e9, begin + content)
        track.budget.spend()
        track.asked = False
        track.answers += 1
        return payload

    def _propose(self, dev_eui: str, slot: Slot, track: Track, now: float) -> Entry | None:
        """The data rate that would do better, as the event `rate_proposed`: the same one once a day at most."""
        found = propose(self._plan, slot.data_rate, track.snrs)
        if found is None:
            return None
        if found[0] == track.proposed and now - track.proposed_at < PROPOSE_EVERY_S:
            return None
        if track.proposed is not None and now - track.proposed_at < REPORT_EVERY_S:
            return None
        track.proposed, track.proposed_at = found[0], now
        return self._events.make("rate_proposed", dev_eui, dr=found[0], margin=found[1], version=track.version)

    def silent(self, now: float, share: float) -> list[Entry]:
        """The event `slot` of devices that have missed their slot for an hour, so that none of their frames brings it.

        Each call looks at the next `share` of all of them.
        """
        return [
            self._events.make("slot", f"{eui:016x}", n=0, answers=0, version=version, **missed._asdict())
            for eui, version, missed in self._book.attendance.silent(now, share)
        ]

    def _report(self, dev_eui: str, track: Track, begin: float, now: float) -> Entry | None:
        """At most hourly: how early and late the device was, as the event `slot`."""
        soon = not track.told and len(track.deviations) >= FIRST_REPORT
        due = begin - track.reported_at >= REPORT_EVERY_S and (track.deviations or track.outside >= OUTSIDE_ALARM)
        if not (soon or due):
            return None
        track.told = True
        late = sorted(track.deviations)
        estimate = track.clock.estimate(begin) if track.clock is not None else None
        kept = self._book.attendance.take(int(dev_eui, 16), now)
        entry = self._events.make(
            "slot",
            dev_eui,
            n=len(late),
            early_ms_p99=max(0.0, -late[len(late) // 100]) if late else None,
            late_ms_p99=max(0.0, late[-1 - len(late) // 100]) if late else None,
            median_ms=late[len(late) // 2] if late else None,
            rate_ppb=round(estimate.rate * 1e9) if estimate is not None else None,
            uncertainty_ms=round(estimate.bound * 1000, 1) if estimate is not None else None,
            answers=track.answers,
            outside=track.outside,
            version=track.version,
            **({} if kept is None else kept._asdict()),
        )
        track.deviations, track.outside, track.answers, track.reported_at = [], 0, 0, begin
        return entry
