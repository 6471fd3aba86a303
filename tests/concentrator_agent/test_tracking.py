"""The concentrator follows the clocks of devices with slots, through its real uplink and downlink paths."""

from collections.abc import Callable

import msgspec
import pytest

from concentrator_agent import store
from edge.clock import ManualClock
from meterwire import messages
from meterwire.clock_package import (
    PORT,
    AppTimeAns,
    AppTimeReq,
    ClockAnswer,
    ClockForecast,
    ClockQuality,
    ForceDeviceResyncReq,
    decode_down,
)
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.frame import DataFrame
from meterwire.lorawan.mac_commands import DeviceTimeAns, DeviceTimeReq
from meterwire.time_entries import SlotEntry
from tests.concentrator_agent.lab import Lab, Mote

SLOT = SlotEntry(channel=1, phase_ms=120_000, period_s=900, data_rate=5, guard_ms=60, length_ms=200, version=1)
FREQUENCY = 868_300_000
PAYLOAD = bytes(16)


class Device:
    """A mote that sends by a crystal of its own and takes what it is told. `ahead` in s, `rate` in s/s."""

    def __init__(self, lab: Lab, ppm: float, number: int = 1) -> None:
        self.lab, self.mote = lab, Mote(number)
        self.ahead, self.rate = 0.0, ppm * 1e-6
        self.planned = 0.0
        self.slot = SLOT
        self.answers: list[ClockAnswer] = []
        self.forecasts: list[ClockForecast] = []
        self.deaf = False
        self.resyncs = 0

    async def begin(self, slot: SlotEntry | None = SLOT, base: int | None = None) -> None:
        await self.lab.devices(self.mote.entry(slot=slot), base=base)
        await self.lab.join(self.mote)
        self.planned = self._next()

    def _next(self) -> float:
        phase = (SLOT.phase_ms + SLOT.guard_ms) / 1000
        return (self.lab.clock.time() // SLOT.period_s + 1) * SLOT.period_s + phase

    async def send(
        self, count: int = 1, late: float = 0.0, fport: int = 16, payload: bytes = PAYLOAD, snr: float = 5.0
    ) -> None:
        """So many telegrams, each in its slot by the device's own clock, or `late` seconds off it."""
        for _ in range(count):
            fcnt = self.mote.fcnt
            frame = self.mote.frame(payload, fport=fport)
            end = self.planned - self.ahead + late + airtime_s(len(frame), self.slot.data_rate)
            await self.lab.clock.advance(end - self.lab.clock.time())
            for transmission in await self.lab.hear(frame, dr=self.slot.data_rate, freq=FREQUENCY, snr=snr):
                self._take(transmission.phy, fcnt)
            self.planned += SLOT.period_s
            self.ahead += self.rate * SLOT.period_s

    def _take(self, phy: bytes, fcnt: int) -> None:
        opened = self.read(phy)
        if opened.fport != PORT or self.deaf:
            return
        command, *behind = decode_down(opened.payload)
        if isinstance(command, ForceDeviceResyncReq):
            self.resyncs += 1
            return
        assert isinstance(command, ClockAnswer)
        assert command.fcnt_low == fcnt
        self.answers.append(command)
        self.forecasts += [one for one in behind if isinstance(one, ClockForecast)]
        assert len(behind) <= 1
        self.ahead -= command.offset_us / 1e6
        self.rate -= command.rate_ppb / 1e9

    def read(self, phy: bytes) -> DataFrame:
        return self.mote.read(phy, int.from_bytes(phy[6:8], "little"))


@pytest.mark.parametrize("ppm", [-20.0, 20.0, 100.0])
async def test_a_crystal_is_told_how_it_runs_before_its_guard_is_used_up(lab: Lab, ppm: float) -> None:
    device = Device(lab, ppm)
    await device.begin()
    await device.send(6)
    assert device.answers, "within an hour and a half"
    assert device.answers[0].quality is ClockQuality.NTP
    await device.send(20)
    assert abs(device.rate) < 0.5e-6
    assert abs(device.ahead) < 0.01
    assert len(device.answers) <= 3


async def test_an_answer_tells_how_long_it_will_do_and_the_clock_keeps_to_that(lab: Lab) -> None:
    device = Device(lab, 20.0)
    await device.begin()
    await device.send(6)
    first, answer = device.forecasts[0], device.answers[0]
    assert answer.uncertainty_ms / 1e3 + first.quarters * 900 * first.drift_ppb / 1e9 <= 0.85 * 0.060 + 0.001
    for quarter in range(min(first.quarters, 12)):
        assert abs(device.ahead) <= answer.uncertainty_ms / 1e3 + (quarter + 1) * 900 * first.drift_ppb / 1e9
        await device.send()
    await device.send(200)
    await device.send(fport=PORT, payload=AppTimeReq(0, 1, answer_required=True).encode())
    await device.send(2)
    assert device.forecasts[-1].quarters > first.quarters, "who is known for days is trusted for longer"


async def test_an_answer_speaks_of_the_start_of_the_uplink_it_answers(lab: Lab) -> None:
    device = Device(lab, 20.0)
    await device.begin()
    while not device.answers:
        before = device.ahead
        await device.send()
    assert device.answers[0].offset_us / 1e6 == pytest.approx(before, abs=0.002)
    assert device.answers[0].rate_ppb / 1e3 == pytest.approx(20.0, abs=1.5)


async def test_a_device_without_a_slot_is_told_nothing(lab: Lab) -> None:
    device = Device(lab, 20.0)
    await device.begin(slot=None)
    await device.send(10)
    assert not device.answers
    assert store.track(lab.database.read, device.mote.dev_eui) is None


async def test_lost_answers_are_noticed_and_given_again(lab: Lab) -> None:
    device = Device(lab, 20.0)
    await device.begin()
    device.deaf = True
    await device.send(8)
    device.deaf = False
    await device.send(12)
    assert abs(device.ahead) < 0.02
    assert abs(device.rate) < 1e-6


async def test_what_is_known_of_a_clock_survives_a_restart(make_lab: Callable[..., Lab]) -> None:
    device = Device(make_lab(), 20.0)
    await device.begin()
    await device.send(20)
    told = len(device.answers)
    device.lab = make_lab()
    await device.send(2)
    track = store.track(device.lab.database.read, device.mote.dev_eui)
    assert track is not None
    assert msgspec.msgpack.decode(track)["clock"]["frames"] == 22
    assert len(device.answers) == told, "it is still well within its guard"


async def test_a_device_that_ignores_its_slot_is_told_nothing_and_reported(lab: Lab) -> None:
    device = Device(lab, 0.0)
    await device.begin()
    for number in range(10):
        await device.send(late=20.0 + 7 * number)
    assert not device.answers
    assert device.resyncs == 2, "it is told to ask, hourly"
    (event,) = lab.reported("slot")
    assert event.dev_eui == device.mote.dev_eui
    assert (event.detail["n"], event.detail["outside"]) == (0, 8)


async def test_how_a_slot_is_kept_is_reported_hourly(lab: Lab) -> None:
    device = Device(lab, 0.0)
    await device.begin()
    for late in (0.004, -0.003, 0.001, 0.002, 0.0, 0.001, 0.002, 0.001, 0.001, 0.001):
        await device.send(late=late)
    events = [event.detail for event in lab.reported("slot")]
    assert len(events) == 2
    assert [events[0][name] for name in ("n", "early_ms_p99", "late_ms_p99")] == [6, 3.0, 4.0]
    assert events[0]["median_ms"] == 1.0
    assert events[0]["outside"] == 0


async def test_missed_slots_are_reported_beside_what_came(lab: Lab) -> None:
    device, other = Device(lab, 0.0), Device(lab, 0.0, 2)
    await device.begin()
    await other.begin(msgspec.structs.replace(SLOT, phase_ms=123_000, channel=5), base=lab.table.revision)
    for number in range(10):
        planned = device.planned
        if number in (1, 2, 7):
            device.planned += SLOT.period_s
        else:
            await device.send()
        frame = other.mote.frame(PAYLOAD)
        if number != 2:
            await lab.clock.advance(planned + 3.0 + airtime_s(len(frame), 5) - lab.clock.time())
            await lab.hear(frame, freq=867_500_000)
    first, second = [event.detail for event in lab.reported("slot") if event.dev_eui == device.mote.dev_eui]
    assert [first[name] for name in ("n", "expected", "missed", "alone_missed")] == [4, 5, 2, 1]
    assert [second[name] for name in ("n", "expected", "missed", "alone_missed")] == [3, 4, 1, 1]


async def test_a_device_of_which_nothing_comes_is_reported_hourly(lab: Lab) -> None:
    device = Device(lab, 0.0)
    await device.begin()
    await device.send(8)
    before = len(lab.reported("slot"))
    told = []
    for _ in range(4 * 60):
        await lab.clock.advance(60)
        told += lab.slots.look(60.0)
    await lab.outbox.put(told)
    events = lab.reported("slot")[before:]
    assert 2 <= len(events) <= 4
    assert {event.dev_eui for event in events} == {device.mote.dev_eui}
    assert all(event.detail["missed"] > 0 for event in events)
    assert events[-1].detail == {
        "n": 0, "answers": 0, "version": 1, "expected": 5, "missed": 5, "alone_missed": 0,
    }  # fmt: skip


async def test_nobody_is_told_anything_while_the_own_clock_is_in_doubt(lab: Lab, clock: ManualClock) -> None:
    device = Device(lab, 100.0)
    await device.begin()
    clock.jump(3600.0)
    lab.keeper.look()
    device.planned = device._next()
    await device.send(6)
    assert not device.answers
    lab.keeper.look()
    await device.send(6)
    assert device.answers, "once the clock has settled"


async def test_a_clock_that_is_worth_nothing_tells_nothing(make_lab: Callable[..., Lab]) -> None:
    device = Device(make_lab(quality="none"), 100.0)
    await device.begin()
    lab = device.lab
    lab.keeper.may_tell = lambda quality: False  # type: ignore[method-assign]  # receptions say "ntp" in the lab
    await device.send(8)
    assert not device.answers
    (transmission,) = await lab.hear(device.mote.frame(commands=[DeviceTimeReq()], confirmed=True))
    assert device.mote.commands(transmission.phy, int.from_bytes(transmission.phy[6:8], "little")) == []


async def test_configuration_goes_before_the_clock_and_the_application_after_it(lab: Lab) -> None:
    device = Device(lab, 100.0)
    await device.begin()
    await device.send(2)
    for fport in (40, 33):
        command = lab.downlink_command(device.mote, b"\x01", fport)
        await lab.queue.take(msgspec.structs.replace(command, expires_at="2026-12-31T00:00:00.000Z"), known=True)
    await device.send(3)
    sent = [device.read(transmission.phy).fport for transmission in lab.radio.sent[-3:]]
    assert sent == [33, PORT, 40]


async def test_an_answer_that_found_no_way_changes_nothing(lab: Lab) -> None:
    device = Device(lab, 100.0)
    await device.begin()
    lab.radio.refusals = ["collision_packet"] * 100
    await device.send(6)
    assert not device.answers
    lab.radio.refusals = []
    await device.send(1)
    assert device.answers
    assert device.answers[0].rate_ppb / 1e3 == pytest.approx(100.0, abs=2)


async def test_answers_that_found_no_way_are_never_told_as_fewer_than_none(lab: Lab) -> None:
    """An answer may be given up just after it was reported."""
    device = Device(lab, 100.0)
    await device.begin()
    lab.radio.refusals = ["collision_packet"] * 100
    await device.send(16)
    await device.send(8, late=20.0)
    answers = [event.detail["answers"] for event in lab.reported("slot")]
    assert len(answers) > 3
    assert min(answers) >= 0


async def test_the_networks_time_may_set_a_clock_anew(lab: Lab) -> None:
    """After DeviceTimeReq the device may be anywhere: what follows is measured, not taken for an error."""
    device = Device(lab, 0.0)
    await device.begin()
    await device.send(5)
    fcnt = device.mote.fcnt
    (transmission,) = await lab.hear(device.mote.frame(fport=None, commands=[DeviceTimeReq()]), dr=5)
    (told,) = device.mote.commands(transmission.phy, int.from_bytes(transmission.phy[6:8], "little"))
    assert isinstance(told, DeviceTimeAns)
    assert device.mote.fcnt == fcnt + 1
    device.ahead = 0.4
    await device.send(4)
    assert device.answers
    assert abs(device.ahead) < 0.01


async def test_a_question_by_ts003_is_answered_in_whole_seconds(lab: Lab, clock: ManualClock) -> None:
    mote = Mote(9)
    await lab.devices(mote.entry(foreign=True))
    await lab.join(mote)
    right = int(lab.keeper.gps(clock.time()))
    asked = AppTimeReq(right - 5, token=3).encode()
    (transmission,) = await lab.hear(mote.frame(asked, fport=PORT))
    opened = mote.read(transmission.phy, int.from_bytes(transmission.phy[6:8], "little"))
    assert opened.fport == PORT
    (answer,) = decode_down(opened.payload)
    assert isinstance(answer, AppTimeAns)
    assert answer.token == 3
    assert answer.correction_s in (4, 5)
    assert lab.telegrams() == [], "nothing for the portal in it"


async def test_a_clock_that_is_right_is_answered_only_when_it_must_be(lab: Lab, clock: ManualClock) -> None:
    mote = Mote(9)
    await lab.devices(mote.entry(foreign=True))
    await lab.join(mote)
    frame = 2 * airtime_s(19, 5)
    for required, count in ((False, 0), (True, 1)):
        right = int(lab.keeper.gps(clock.time()) - frame / 2)
        sent = await lab.hear(mote.frame(AppTimeReq(right, 1, required).encode(), fport=PORT))
        assert len(sent) == count


async def test_nonsense_on_port_202_is_left_alone(lab: Lab) -> None:
    mote = Mote(9)
    await lab.devices(mote.entry())
    await lab.join(mote)
    assert await lab.hear(mote.frame(b"\x01\x02", fport=PORT)) == []
    assert lab.uplink.counts["accepted"] == 1


async def test_a_device_that_asks_gets_an_answer_with_its_next_telegram(lab: Lab, clock: ManualClock) -> None:
    device = Device(lab, 1.0)
    await device.begin()
    await device.send(4)
    assert not device.answers
    right = int(lab.keeper.gps(clock.time()))
    asked = AppTimeReq(right, 1, answer_required=True).encode()
    assert await lab.hear(device.mote.frame(asked, fport=PORT)) == []
    await device.send(2)
    assert device.answers


async def test_a_slot_that_cannot_be_is_refused_with_its_device(lab: Lab) -> None:
    mote = Mote(1)
    wrong = msgspec.structs.replace(SLOT, phase_ms=900_000)
    applied = await lab.devices(mote.entry(slot=wrong))
    (refused,) = applied.refused
    assert refused.reason == "format"
    assert "phase" in refused.message


async def test_a_new_slot_keeps_what_is_known_of_the_clock(lab: Lab) -> None:
    device = Device(lab, 20.0)
    await device.begin()
    await device.send(12)
    await lab.devices(device.mote.entry(slot=msgspec.structs.replace(SLOT, version=2)), base=lab.table.revision)
    await device.send(1)
    track = store.track(lab.database.read, device.mote.dev_eui)
    assert track is not None
    stored = msgspec.msgpack.decode(track)
    assert (stored["version"], stored["clock"]["frames"]) == (2, 13)


async def test_a_better_data_rate_is_proposed_once_a_day(lab: Lab) -> None:
    slow = msgspec.structs.replace(SLOT, data_rate=0, length_ms=2000)
    device = Device(lab, 0.0)
    await device.begin(slot=slow)
    device.slot = slow
    await device.send(24)
    (event,) = lab.reported("rate_proposed")
    assert (event.detail["dr"], event.detail["margin"]) == (4, 25.0)
    await device.send(96)
    assert len(lab.reported("rate_proposed")) == 2


async def test_a_rate_that_seems_right_in_between_is_not_proposed_again_at_once(lab: Lab) -> None:
    slow = msgspec.structs.replace(SLOT, data_rate=0, length_ms=2000)
    device = Device(lab, 0.0)
    await device.begin(slot=slow)
    device.slot = slow
    for snr in (5.0, -12.0, 5.0):
        await device.send(24, snr=snr)
    assert len(lab.reported("rate_proposed")) == 1


async def test_a_device_that_is_removed_while_it_is_heard_costs_nobody_a_telegram(lab: Lab) -> None:
    leaving, staying = Device(lab, 0.0, 1), Device(lab, 0.0, 2)
    await leaving.begin()
    await staying.begin(base=lab.table.revision)
    time = messages.timestamp(lab.clock.time())
    one = messages.ulid(lab.clock.time(), bytes(10))
    revision = lab.table.revision
    gone = messages.DevicesCommand(one, time, revision + 1, revision, remove=(leaving.mote.dev_eui,))
    await lab.hear(leaving.mote.frame(PAYLOAD))
    await lab.table.take(gone)
    await lab.hear(leaving.mote.frame(PAYLOAD), staying.mote.frame(PAYLOAD))
    assert staying.mote.dev_eui in [telegram.dev_eui for telegram in lab.telegrams()]
    assert store.track(lab.database.read, leaving.mote.dev_eui) is None
