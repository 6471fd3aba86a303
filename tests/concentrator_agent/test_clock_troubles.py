"""What goes wrong with the concentrator's own clock, and that no device keeps a wrong time for it."""

from collections.abc import Callable

import pytest

from concentrator_agent.server.clock import ReceptionClock
from concentrator_agent.server.timekeeping import SETTLE_S
from concentrator_agent.server.track import Track
from edge.clock import ManualClock
from meterwire.clock_package import PORT, AppTimeReq, ClockAnswer, ForceDeviceResyncReq, decode_down
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.mac_commands import DeviceTimeAns, DeviceTimeReq
from meterwire.time_entries import OpenTimeEntry, PlanEntry, SlotEntry
from tests.concentrator_agent.lab import Lab, Mote

SLOT = SlotEntry(channel=1, phase_ms=120_000, period_s=900, data_rate=5, guard_ms=60, length_ms=200, version=1)
PLAN = PlanEntry(open_time=OpenTimeEntry(300, 292_500, 7500))
PAYLOAD = bytes(16)


class Adapter:
    """Keeps its slot by a clock of its own, which only answers set; true time is the lab's monotonic clock."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.mote = lab, Mote(1)
        self.ahead = 0.0  # of true time
        self.commands: list[object] = []
        self.true = lab.clock.time()
        self.at = lab.clock.monotonic()

    async def begin(self) -> None:
        await self.lab.devices(self.mote.entry(slot=SLOT), plan=PLAN)
        await self.lab.join(self.mote)

    def now(self) -> float:
        """By its own clock."""
        return self.true + self.lab.clock.monotonic() - self.at + self.ahead

    async def in_slot(self, count: int = 1) -> None:
        for _ in range(count):
            begin = (self.now() // 900 + 1) * 900 + 120.06
            await self._send(self.mote.frame(PAYLOAD), begin)

    async def ask(self) -> None:
        begin = (self.now() // 300 + 1) * 300 + 293.0
        question = AppTimeReq(int(self.lab.keeper.gps(begin)) % 2**32, 1, answer_required=True)
        await self._send(self.mote.frame(question.encode(), fport=PORT), begin)

    async def _send(self, frame: bytes, begin: float) -> None:
        await self.lab.clock.advance(begin - self.now() + airtime_s(len(frame), 5))
        self.lab.keeper.look()
        for sent in await self.lab.hear(frame, dr=5, freq=868_300_000):
            opened = self.mote.read(sent.phy, int.from_bytes(sent.phy[6:8], "little"))
            if opened.fport == PORT:
                self.commands += decode_down(opened.payload)

    @property
    def answers(self) -> list[ClockAnswer]:
        return [one for one in self.commands if isinstance(one, ClockAnswer)]


@pytest.fixture
async def adapter(lab: Lab) -> Adapter:
    adapter = Adapter(lab)
    await adapter.begin()
    return adapter


async def test_a_device_that_was_told_a_wrong_hour_is_told_so_once_the_clock_is_right(
    adapter: Adapter, lab: Lab, clock: ManualClock
) -> None:
    """Its own clock seems fine to it, and what was measured before the jump says the same."""
    wrong = 3607.0
    clock.jump(wrong)
    adapter.ahead = wrong  # it was told
    lab.keeper.look()
    await clock.advance(SETTLE_S + 1)
    lab.keeper.look()
    await adapter.in_slot(4)
    assert abs(adapter.answers[-1].offset_us if adapter.answers else 0) < 60_000
    adapter.commands.clear()
    clock.jump(-wrong)
    lab.keeper.look()
    await clock.advance(SETTLE_S + 1)
    lab.keeper.look()
    await adapter.ask()
    assert adapter.answers == [], "not by what was measured before"
    await adapter.ask()
    (told,) = adapter.answers
    assert told.offset_us == 2**31 - 1, "more than an answer can say, so that it is doubted"
    assert told.uncertainty_ms == 1000


async def test_a_device_that_does_not_ask_is_told_to(adapter: Adapter, lab: Lab) -> None:
    """Seven seconds beside its slot, and sure of itself."""
    await adapter.in_slot(3)
    adapter.ahead = 7.0
    await adapter.in_slot(4)
    assert adapter.commands == [ForceDeviceResyncReq(1)]
    await adapter.ask()
    await adapter.ask()
    assert adapter.answers[-1].offset_us == pytest.approx(7_000_000, abs=1_000_000)
    adapter.ahead = 0.0
    adapter.commands.clear()
    await adapter.in_slot(6)
    assert adapter.commands == []


async def test_a_question_that_waited_on_its_way_is_not_taken_for_a_wrong_clock(adapter: Adapter, lab: Lab) -> None:
    """Its time was written down minutes before the frame left."""
    await adapter.in_slot(4)
    begin = adapter.now() // 300 * 300 + 593.0
    late = AppTimeReq(int(lab.keeper.gps(begin)) - 240, 1, answer_required=True)
    await adapter._send(adapter.mote.frame(late.encode(), fport=PORT), begin)
    assert adapter.answers == []
    await adapter.ask()
    assert [abs(answer.offset_us) < 5000 for answer in adapter.answers] == [True]


async def test_ntp_that_comes_after_the_first_devices_puts_nobody_beside_its_slot(
    make_lab: Callable[..., Lab], clock: ManualClock
) -> None:
    """The clock ran free and 0.4 s ahead when the devices were told the time; then NTP sets it."""
    lab = make_lab()
    clock.jump(0.4)
    lab.keeper.look()
    await clock.advance(SETTLE_S + 1)
    lab.keeper.look()
    adapter = Adapter(lab)
    await adapter.begin()
    await adapter.in_slot(5)
    clock.jump(-0.4)
    lab.keeper.look()
    assert not lab.keeper.may_tell("ntp")
    await adapter.in_slot(5)
    assert adapter.answers, "as soon as three frames have shown it"
    assert adapter.answers[0].offset_us == pytest.approx(400_000, abs=5000)


async def test_a_jump_survives_a_restart(make_lab: Callable[..., Lab], clock: ManualClock) -> None:
    """Tracks from before the jump are in the store; the epoch tells them apart."""
    adapter = Adapter(make_lab())
    await adapter.begin()
    await adapter.in_slot(4)
    adapter.lab = make_lab(epoch=1)
    device = adapter.lab.sessions.device(adapter.mote.dev_eui)
    assert device is not None
    await adapter.in_slot(1)
    assert isinstance(device.track, Track)
    assert device.track.clock is not None
    assert (device.track.epoch, device.track.clock.frames) == (1, 2)


async def test_a_gateway_that_restarts_disturbs_no_track(adapter: Adapter, lab: Lab, clock: ManualClock) -> None:
    """Its counter begins anew at nought; the second gateway's goes on."""
    stamps = ReceptionClock(clock, lambda: "ntp")
    began = clock.time()
    for second in range(0, 1800, 10):
        now = began + second
        first = second * 1_000_000 if second < 900 else (second - 890) * 1_000_000
        for gateway, counter in (("a", first), ("b", 3_000_000_000 + second * 1_000_000)):
            at, _ = stamps.stamp(gateway, counter % 2**32, now + 0.0005, None)
            assert at == pytest.approx(now, abs=0.001)


async def test_counters_are_tied_anew_when_the_clock_is_set(clock: ManualClock) -> None:
    """Half a second is too little to be seen in the counters themselves."""
    stamps = ReceptionClock(clock, lambda: "ntp")
    for number in range(100):
        stamps.stamp("g", number * 1_000_000, clock.time(), None)
        await clock.advance(1)
    clock.jump(0.5)
    at, _ = stamps.stamp("g", 100_000_000, clock.time(), None)
    assert at == clock.time()
    told = stamps.counter("g", clock.time() + 1.0)
    assert told == 101_000_000


async def test_while_the_clock_is_in_doubt_a_device_that_asks_gets_nothing(
    adapter: Adapter, lab: Lab, clock: ManualClock
) -> None:
    await adapter.in_slot(4)
    clock.jump(-120.0)
    lab.keeper.look()
    adapter.commands.clear()
    for _ in range(2):
        begin = adapter.now() // 300 * 300 + 593.0
        question = AppTimeReq(int(lab.keeper.gps(adapter.now())), 1, answer_required=True)
        frame = adapter.mote.frame(question.encode(), fport=PORT)
        lab.keeper._jumped_at = clock.monotonic()
        await adapter._send(frame, begin)
    assert adapter.commands == []
    lab.keeper._jumped_at = clock.monotonic()
    (sent,) = await lab.hear(adapter.mote.frame(commands=[DeviceTimeReq()], confirmed=True))
    told = adapter.mote.commands(sent.phy, int.from_bytes(sent.phy[6:8], "little"))
    assert not [one for one in told if isinstance(one, DeviceTimeAns)]


async def test_slots_that_a_jump_leaps_over_are_not_missed(adapter: Adapter, lab: Lab, clock: ManualClock) -> None:
    await adapter.in_slot(12)
    before = len(lab.reported("slot"))
    clock.jump(10 * 3600.0)
    adapter.ahead = 10 * 3600.0
    lab.keeper.look()
    await lab.outbox.put(lab.slots.look(1.0))
    await adapter.in_slot(10)
    events = [event.detail for event in lab.reported("slot")[before:]]
    assert events
    assert [event["missed"] for event in events] == [0] * len(events)


async def test_a_clock_that_was_years_ahead_is_reported_of_and_corrected_once_it_is_set_back(
    make_lab: Callable[..., Lab], clock: ManualClock
) -> None:
    years = 10 * 365 * 86_400.0
    lab = make_lab()
    clock.jump(years)
    lab.keeper.look()
    adapter = Adapter(lab)
    await adapter.begin()
    await adapter.in_slot(12)
    before = len(lab.reported("slot"))
    assert before
    clock.jump(-years)
    adapter.ahead = -years
    lab.keeper.look()
    lab.slots.look(1.0)
    await adapter.in_slot(8)
    assert len(lab.reported("slot")) > before
    adapter.ahead += 7.0
    await adapter.in_slot(4)
    assert ForceDeviceResyncReq(1) in adapter.commands
