"""With open time in the plan nobody's slot is disturbed by an answer, through the real uplink and downlink paths."""

from collections.abc import Callable
from typing import Final, Literal

import msgspec
import pytest

from concentrator_agent.config import RegionSettings
from concentrator_agent.server.queue import URGENT_PRIORITY
from concentrator_agent.server.track import Track
from concentrator_agent.server.windows import Window, second_is_better
from meterwire.clock_package import PORT, AppTimeReq, ClockAnswer, ClockForecast, decode_down
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.eu868 import EU868
from meterwire.lorawan.frame import DataFrame
from meterwire.time_entries import BeaconEntry, OpenTimeEntry, PlanEntry, SlotEntry
from tests.concentrator_agent.lab import Lab, Mote

PERIOD_S: Final = 900
OURS = SlotEntry(channel=1, phase_ms=120_000, period_s=PERIOD_S, data_rate=5, guard_ms=60, length_ms=188, version=1)
FREQUENCY = 868_300_000
PLAN = PlanEntry(open_time=OpenTimeEntry(300, 292_500, 7500))
RX1_MS, RX2_MS = 1000, 2000
END_MS = 120_060 + 67  # of our frame on the air
PAYLOAD = bytes(16)


def slot(phase_ms: int, length_ms: int = 188, channel: int = 5, period_s: Literal[60, 900] = PERIOD_S) -> SlotEntry:
    return msgspec.structs.replace(OURS, phase_ms=phase_ms, length_ms=length_ms, channel=channel, period_s=period_s)


class House:
    """A device of ours, and others whose slots lie where a test wants them."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.mote = lab, Mote(1)

    async def begin(self, *others: SlotEntry, plan: PlanEntry | None = PLAN) -> None:
        entries = [Mote(number).entry(slot=one) for number, one in enumerate(others, 2)]
        await self.lab.devices(self.mote.entry(slot=OURS), *entries, plan=plan)
        await self.lab.join(self.mote)

    async def in_slot(self, late: float = 0.0, **flags: object) -> list[DataFrame]:
        """A telegram in its slot, or that much behind it; what it was answered with."""
        frame = self.mote.frame(PAYLOAD, **flags)  # type: ignore[arg-type]
        return await self._send(frame, self._planned() + late)

    async def in_open_time(self, payload: bytes = PAYLOAD, fport: int = 16, **flags: object) -> list[DataFrame]:
        frame = self.mote.frame(payload, fport=fport, **flags)  # type: ignore[arg-type]
        return await self._send(frame, (self.lab.clock.time() // 300 + 1) * 300 - 7.0)

    async def slowly(self, dr: int) -> tuple[int, int]:
        """(frequency, data rate) of the answer to an uplink at another data rate, in open time."""
        frame = self.mote.frame(PAYLOAD, confirmed=True)
        begin = (self.lab.clock.time() // 300 + 1) * 300 - 7.0
        await self.lab.clock.advance(begin + airtime_s(len(frame), dr) - self.lab.clock.time())
        (sent,) = await self.lab.hear(frame, dr=dr, freq=FREQUENCY)
        return sent.freq, sent.dr

    async def wait(self, payload: bytes = b"\x01", fport: int = 40, priority: int = 5) -> None:
        command = self.lab.downlink_command(self.mote, payload, fport, priority=priority)
        await self.lab.queue.take(msgspec.structs.replace(command, expires_at="2026-12-31T00:00:00.000Z"), known=True)

    def _planned(self) -> float:
        return (self.lab.clock.time() // PERIOD_S + 1) * PERIOD_S + 120.06

    async def _send(self, frame: bytes, begin: float) -> list[DataFrame]:
        await self.lab.clock.advance(begin + airtime_s(len(frame), 5) - self.lab.clock.time())
        sent = await self.lab.hear(frame, dr=5, freq=FREQUENCY)
        return [self.mote.read(one.phy, int.from_bytes(one.phy[6:8], "little")) for one in sent]


@pytest.fixture
def house(lab: Lab) -> House:
    return House(lab)


BLOCKED = (slot(END_MS + RX1_MS + 10), slot(END_MS + RX2_MS - 20, 3000))  # both windows of our slot


async def test_without_open_time_everything_is_answered_as_ever(house: House) -> None:
    await house.begin(*BLOCKED, plan=None)
    assert [answer.ack for answer in await house.in_slot(confirmed=True)] == [True]


async def test_where_nobody_has_a_slot_then_an_answer_goes_out_at_once(house: House) -> None:
    await house.begin(slot(END_MS + 300))
    await house.wait()
    (answer,) = await house.in_slot(confirmed=True)
    assert (answer.ack, answer.fport) == (True, 40)


async def test_what_would_reach_into_a_slot_waits_for_open_time(house: House, lab: Lab) -> None:
    await house.begin(*BLOCKED)
    await house.wait()
    assert await house.in_slot(confirmed=True) == []
    assert lab.downlink.counts["slots"] == 1
    (answer,) = await house.in_open_time()
    assert answer.fport == 40


async def test_the_second_window_is_taken_where_the_first_one_is_anothers(house: House, lab: Lab) -> None:
    await house.begin(slot(END_MS + RX1_MS + 10))
    (answer,) = await house.in_slot(confirmed=True)
    assert answer.ack
    assert lab.radio.sent[-1].freq == 869_525_000


@pytest.mark.parametrize("dr", [0, 1, 2])
async def test_a_slow_device_is_answered_briefly_in_the_second_window(make_lab: Callable[..., Lab], dr: int) -> None:
    """In the first one the answer would take up to a second, in which nobody is heard."""
    house = House(make_lab(RegionSettings(rx2_dr=3)))
    await house.begin()
    assert await house.slowly(dr) == (869_525_000, 3)


@pytest.mark.parametrize("dr", [3, 4, 5])
async def test_a_fast_one_is_answered_in_the_first(make_lab: Callable[..., Lab], dr: int) -> None:
    house = House(make_lab(RegionSettings(rx2_dr=3)))
    await house.begin()
    assert await house.slowly(dr) == (FREQUENCY, dr)


async def test_without_open_time_a_slow_one_is_answered_in_the_first_as_ever(make_lab: Callable[..., Lab]) -> None:
    house = House(make_lab(RegionSettings(rx2_dr=3)))
    await house.begin(plan=None)
    assert await house.slowly(0) == (FREQUENCY, 0)


@pytest.mark.parametrize(("limit_dbm", "better"), [(27, True), (19, False), (14, False)])
def test_the_second_window_is_no_better_where_less_power_reaches_less_far(limit_dbm: int, better: bool) -> None:
    first, second = Window(1, 1.0, FREQUENCY, 0), Window(2, 2.0, 869_525_000, 3)
    assert second_is_better(EU868, first, second, 26, limit_dbm) is better


async def test_between_two_slots_goes_what_fits_between_them(house: House) -> None:
    """80 ms from RX1 to the next slot: room for an acknowledgement, not for 51 bytes."""
    await house.begin(slot(END_MS + RX1_MS + 90), slot(END_MS + RX2_MS - 20, 3000))
    await house.wait(bytes(51))
    (answer,) = await house.in_slot(confirmed=True)
    assert (answer.ack, answer.fport, answer.class_b_or_pending) == (True, None, True)
    assert await house.in_slot() == [], "an empty frame is of no use"
    (answer,) = await house.in_open_time()
    assert len(answer.payload) == 51


async def test_slots_of_every_period_count(house: House) -> None:
    begin = (END_MS + RX1_MS + 10) % 60_000
    await house.begin(slot(begin, period_s=60), slot(END_MS + RX2_MS - 20, 3000))
    assert await house.in_slot(confirmed=True) == []


async def test_the_beacon_is_disturbed_by_no_answer(house: House) -> None:
    beacon = BeaconEntry(869_525_000, 3, 60, (END_MS + RX1_MS + 10) % 60_000)
    await house.begin(slot(END_MS + RX2_MS - 20, 3000), plan=PlanEntry(beacon, PLAN.open_time))
    assert await house.in_slot(confirmed=True) == []


async def test_an_uplink_outside_of_its_slot_is_answered_in_any_case(house: House) -> None:
    """Somebody without trust in its clock must be able to find back."""
    busy = tuple(slot(20_000 * number, 8000, channel=number % 8) for number in range(45))
    await house.begin(*busy)
    for late in (0.2, 5.0, 13.0):
        assert [answer.ack for answer in await house.in_slot(late, confirmed=True)] == [True]


async def test_an_uplink_outside_gets_no_answer_in_the_second_window_over_a_slot(house: House, lab: Lab) -> None:
    """RX1 is taken at the gateway; RX2 is long, and the device asks again."""
    busy = tuple(slot(20_000 * number, 8000, channel=number % 8) for number in range(45))
    await house.begin(*busy)
    lab.radio.refusals = ["collision_packet"]
    assert await house.in_slot(1.0, confirmed=True) == []
    lab.radio.refusals = ["collision_packet"]
    await lab.devices(house.mote.entry(slot=None), *(Mote(9).entry(slot=one) for one in busy[:1]), plan=PLAN)
    assert await house.in_slot(1.0, confirmed=True), "a device without a slot has no other way"


async def test_at_the_end_of_open_time_no_answer_reaches_into_the_first_slots(house: House, lab: Lab) -> None:
    await house.begin(slot(0, 3000))
    begin = (lab.clock.time() // 900 + 1) * 900 - 0.3
    frame = house.mote.frame(PAYLOAD, confirmed=True)
    assert await house._send(frame, begin) == []
    assert lab.downlink.counts["slots"] == 1


async def test_a_command_that_limits_is_worth_a_lost_telegram(house: House, lab: Lab) -> None:
    await house.begin(*BLOCKED)
    await house.wait(b"\x07", 33, priority=URGENT_PRIORITY - 1)
    await house.wait(b"\x02", 40, priority=URGENT_PRIORITY)
    (answer,) = await house.in_slot()
    assert (answer.fport, answer.payload, answer.class_b_or_pending) == (40, b"\x02", True)
    assert lab.downlink.counts["slots_disturbed"] == 1
    (event,) = lab.reported("downlink")
    assert (event.reason, event.detail["cause"]) == ("sent", "slots_disturbed")
    assert await house.in_slot() == [], "the configuration waits on"


async def test_a_downlink_that_found_no_room_until_its_end_says_so(house: House, lab: Lab) -> None:
    await house.begin(*BLOCKED)
    await house.wait()
    assert await house.in_slot() == []
    await lab.clock.advance(400 * 86_400)
    await lab.queue.expire()
    (event,) = lab.reported("downlink")
    assert (event.reason, event.detail["cause"]) == ("expired", "slots")


async def test_what_is_not_urgent_never_follows_into_somebodys_slot(house: House, lab: Lab) -> None:
    """The gateway refuses the clear window; what was meant for that is not worth a lost telegram in the other one."""
    await house.begin(slot(END_MS + RX2_MS - 20, 3000))
    await house.wait(b"\x07", 33, priority=URGENT_PRIORITY - 1)
    await house.wait(b"\x02", 40, priority=URGENT_PRIORITY)
    lab.radio.refusals = ["collision_packet"]
    (answer,) = await house.in_slot()
    assert (answer.fport, answer.payload) == (40, b"\x02")


async def test_an_urgent_command_that_does_not_fit_disturbs_nobody(house: House, lab: Lab) -> None:
    await house.begin(*BLOCKED)
    await house.wait(bytes(243), 40, priority=URGENT_PRIORITY)
    assert await house.in_slot(confirmed=True) == []


async def test_a_slot_that_was_left_stays_clear_for_a_while_only(house: House, lab: Lab) -> None:
    await house.begin(*BLOCKED)
    leaving = [Mote(number).dev_eui for number in (2, 3)]
    await lab.devices(base=lab.table.revision, remove=leaving, plan=PLAN)
    assert await house.in_slot(confirmed=True) == []
    await lab.clock.advance(600)
    lab.slots.tidy()
    assert [answer.ack for answer in await house.in_slot(confirmed=True)] == [True]


async def test_a_slot_that_is_given_counts_at_once(house: House, lab: Lab) -> None:
    await house.begin()
    assert await house.in_slot(confirmed=True)
    entries = [Mote(number).entry(slot=one) for number, one in enumerate(BLOCKED, 2)]
    await lab.devices(*entries, base=lab.table.revision, plan=PLAN)
    assert await house.in_slot(confirmed=True) == []


async def test_after_a_restart_plan_and_slots_are_known(make_lab: Callable[..., Lab]) -> None:
    house = House(make_lab())
    await house.begin(*BLOCKED)
    house.lab = make_lab()
    assert await house.in_slot(confirmed=True) == []


async def test_no_clock_answer_is_spent_where_there_is_no_room_for_it(house: House, lab: Lab) -> None:
    await house.begin(*BLOCKED)
    for _ in range(8):
        assert await house.in_slot(late=-0.045) == []
    assert lab.downlink.counts["slots"] == 0, "nothing was tried"


async def test_a_question_in_open_time_is_answered_by_what_the_slot_has_shown(house: House) -> None:
    """The clock runs 20 ppm fast, so each frame is 18 ms earlier than the one before."""
    await house.begin(*BLOCKED)
    for number in range(4):
        assert await house.in_slot(late=0.020 - 0.018 * number) == []
    fcnt = house.mote.fcnt
    (answer,) = await house.in_open_time(AppTimeReq(0, 1, answer_required=True).encode(), PORT)
    told, forecast = decode_down(answer.payload)
    assert isinstance(told, ClockAnswer)
    assert isinstance(forecast, ClockForecast)
    assert told.fcnt_low == fcnt
    passed = 300 - 7.0 - 120.06
    assert told.offset_us / 1e3 == pytest.approx(54 - 20 + passed * 0.020, abs=2.0)
    assert told.rate_ppb == pytest.approx(20_000, abs=1500)
    assert told.uncertainty_ms < 30


async def test_who_asks_again_is_told_the_same_again_and_not_that_all_is_well(house: House) -> None:
    """The first answer was lost: by it the clock would be right now."""
    await house.begin(*BLOCKED)
    for number in range(40):
        assert await house.in_slot(late=-0.0004 * number) == []
    question = AppTimeReq(0, 1, answer_required=True).encode()
    told = []
    for _ in range(2):
        (answer,) = await house.in_open_time(question, PORT)
        told += [one for one in decode_down(answer.payload) if isinstance(one, ClockAnswer)]
    first, second = told
    assert first.offset_us / 1e3 == pytest.approx(15.7, abs=1.5)
    assert second.offset_us / 1e3 == pytest.approx(15.7 + 0.15, abs=1.5)
    assert second.rate_ppb == pytest.approx(first.rate_ppb, abs=50)
    assert second.uncertainty_ms <= first.uncertainty_ms + 2


async def test_what_was_told_in_open_time_is_expected_of_the_next_frames(house: House, lab: Lab) -> None:
    await house.begin(*BLOCKED)
    for number in range(4):
        await house.in_slot(late=-0.018 * number)
    await house.in_open_time(AppTimeReq(0, 1, answer_required=True).encode(), PORT)
    for _ in range(4):
        await house.in_slot()
    device = lab.sessions.device(house.mote.dev_eui)
    assert device is not None
    assert isinstance(device.track, Track)
    clock = device.track.clock
    assert clock is not None
    assert (clock.answered, clock.lost, clock.outliers) == (1, 0, 0)
    assert abs(clock.estimate(clock.at).offset) < 0.002


async def test_a_clock_that_nobody_knows_is_told_nothing(house: House) -> None:
    await house.begin(*BLOCKED)
    assert await house.in_open_time(AppTimeReq(0, 1, answer_required=True).encode(), PORT) == []
