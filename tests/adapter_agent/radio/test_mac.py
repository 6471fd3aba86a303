"""The end device against a network that does what the test says, on a clock that moves only when told."""

import asyncio
from contextlib import asynccontextmanager
from random import Random

import pytest

from adapter_agent.radio.base import NotJoined, PayloadTooLong, Planned
from adapter_agent.radio.mac import EndDevice
from adapter_agent.radio.phy import PhyError
from adapter_agent.radio.settings import Identity, MacSettings
from adapter_agent.radio.silence import SILENCE_CHECK, SILENCE_REJOIN
from adapter_agent.radio.state import FCNT_BLOCK, RadioStore
from edge.clock import ManualClock
from edge.sealedfile import SealedFileError
from meterwire.lorawan import mac_commands as mac
from meterwire.lorawan.frame import JoinAccept
from meterwire.lorawan.gpstime import gps_seconds
from meterwire.lorawan.region import EU868
from tests.adapter_agent.radio.network import DEV_ADDR, DEV_EUI, JOIN_EUI, ROOT, Events, Memory, Network, finish


class Bench:
    """One device, its network, its memory, and the clock they share."""

    def __init__(self, **settings) -> None:
        self.clock = ManualClock()
        self.network = Network(self.clock)
        self.file = Memory()
        self.events = Events()
        self.settings = MacSettings(EU868, **settings)
        self.start()

    def start(self) -> EndDevice:
        """Power on: a device that knows only what is in its memory."""
        self.device = EndDevice(
            Identity(DEV_EUI, JOIN_EUI, ROOT),
            self.settings,
            self.network,
            store=RadioStore(self.file, EU868),
            clock=self.clock,
            events=self.events,
            random=Random(1),
        )
        return self.device

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.device.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def join(self) -> None:
        await finish(self.clock, self.device.ready(20))

    async def send(self, *arguments, **options):
        return await finish(self.clock, self.device.send(*arguments, **options), 8000)

    @property
    def last(self):
        return self.network.uplinks[-1]


@pytest.fixture
async def bench():
    made = Bench()
    async with made.running():
        await made.join()
        yield made


async def test_joins_and_sends_a_reading_that_the_network_opens(bench):
    sent = await bench.send(16, b"reading")
    assert (bench.last.uplink.fport, bench.last.uplink.payload) == (16, b"reading")
    assert (sent.fcnt, sent.confirmed, sent.acknowledged) == (0, False, False)
    assert sent.end == bench.last.at
    assert bench.events.joins == bench.device.epoch == 1


async def test_opens_its_windows_where_the_join_accept_puts_them():
    bench = Bench()
    bench.network.accept = JoinAccept(
        0, 0x13, DEV_ADDR, rx1_dr_offset=2, rx2_dr=3, rx_delay=5, cflist=(867_100_000, 867_300_000)
    )
    async with bench.running():
        await bench.join()
        [request] = bench.network.joins
        assert [(w.after_s, w.dr) for w in request.windows] == [(5, 5), (6, 0)]
        assert request.windows[1].freq_hz == 869_525_000
        frequencies = set()
        for _ in range(40):
            await bench.send(16, b"x")
            frequencies.add(bench.last.frequency_hz)
            first, second = bench.last.windows
            assert (first.after_s, first.freq_hz, first.dr) == (5, bench.last.frequency_hz, 3)
            assert (second.after_s, second.freq_hz, second.dr) == (6, 869_525_000, 3)
        assert frequencies == {867_100_000, 867_300_000, 868_100_000, 868_300_000, 868_500_000}


async def test_every_join_request_has_a_new_nonce_even_over_a_power_failure():
    bench = Bench()
    bench.network.mute = True
    for _ in range(4):
        async with bench.running():
            while len(bench.network.nonces) % 3 != 2:
                await bench.clock.advance(5)
            saved = bench.file.content
            await bench.clock.advance(5)
        bench.file.content = saved  # whatever was in memory is lost
        bench.start()
        bench.network.nonces.append(-len(bench.network.nonces))
    nonces = [nonce for nonce in bench.network.nonces if nonce >= 0]
    assert nonces == sorted(set(nonces))


async def test_asking_to_join_gets_slower_and_rarer_and_stays_inside_the_airtime_limits():
    bench = Bench()
    bench.network.mute = True
    begin = bench.clock.time()
    async with bench.running():
        await bench.clock.advance(40 * 3600)

    def spent(first_h: float, last_h: float) -> float:
        from meterwire.lorawan.airtime import airtime_s

        inside = [j for j in bench.network.joins if first_h * 3600 <= j.at - begin < last_h * 3600]
        return sum(airtime_s(len(join.frame), join.dr) for join in inside)

    assert {join.dr for join in bench.network.joins} == {0, 1, 2, 3, 4, 5}
    assert 0 < spent(0, 1) <= 36
    assert 0 < spent(1, 11) <= 36
    assert 0 < spent(11, 35) <= 8.7
    assert 0 < spent(35, 40) <= 8.7


async def test_an_answer_under_another_key_or_with_an_old_nonce_is_no_session():
    bench = Bench()
    bench.network.join_nonce = 7
    async with bench.running():
        await bench.join()
        bench.network.join_nonce = 3  # the network has forgotten what it told before
        bench.device._end_session("test")
        await bench.clock.advance(30)
        assert bench.device.epoch == 1
        bench.network.join_nonce = 7
        await bench.join()
        assert bench.device.epoch == 2


async def test_a_confirmed_uplink_is_repeated_until_it_is_acknowledged(bench):
    bench.network.replies = [{"nothing": True}, {"nothing": True}]
    sent = await bench.send(16, b"important", confirmed=True)
    assert sent.acknowledged
    first, second, third = bench.network.uplinks
    assert first.frame == second.frame == third.frame
    assert 1 <= second.at - first.at - 2.1 <= 4
    assert not bench.device.uncertain


async def test_an_unanswered_uplink_is_told_as_such_and_never_repeated_more_than_configured(bench):
    bench.network.mute = True
    sent = await bench.send(16, b"important", confirmed=True)
    assert not sent.acknowledged
    assert len(bench.network.uplinks) == 4
    assert bench.device.uncertain


async def test_after_unanswered_confirmed_uplinks_it_joins_again_and_sends_on_meanwhile(bench):
    bench.network.mute = True
    for _ in range(3):
        await bench.send(16, b"x", confirmed=True)
    await bench.clock.advance(3)
    assert len(bench.network.joins) == 2
    await bench.clock.advance(10)
    await bench.send(16, b"in the old session")
    assert bench.last.uplink.payload == b"in the old session"
    bench.network.mute = False
    while bench.device.epoch == 1:
        await bench.clock.advance(1)
    assert (await bench.send(16, b"x", confirmed=True)).acknowledged


async def test_hearing_the_network_ends_the_wish_to_join_again(bench):
    bench.network.mute = True
    for _ in range(3):
        await bench.send(16, b"x", confirmed=True)
    await bench.clock.advance(10)
    bench.network.mute = False
    assert (await bench.send(16, b"x", confirmed=True)).acknowledged
    joins = len(bench.network.joins)
    await bench.clock.advance(3600)
    assert len(bench.network.joins) == joins


async def test_long_silence_brings_a_question_then_a_new_join(bench):
    bench.network.mute = True
    for count in range(SILENCE_REJOIN):
        await bench.send(16, b"x")
        asked = mac.LinkCheckReq() in bench.last.commands
        assert asked == (count >= SILENCE_CHECK)
    await bench.clock.advance(3)
    assert len(bench.network.joins) == 2


async def test_the_session_and_its_counters_survive_a_power_failure(bench):
    for _ in range(3):
        await bench.send(16, b"x", confirmed=True)
    device = bench.start()
    sent = await bench.send(16, b"after", confirmed=True)
    assert sent.acknowledged
    assert 3 <= sent.fcnt <= 3 + FCNT_BLOCK  # behind everything that may have been used
    assert device.epoch == 1


async def test_a_clean_stop_wastes_no_counter(bench):
    await bench.send(16, b"x")
    bench.device.close()
    bench.start()
    assert (await bench.send(16, b"y")).fcnt == 1


async def test_no_frame_counter_is_used_before_it_is_reserved_on_disk(bench):
    class Full(Exception):
        pass

    def full(content: bytes) -> None:
        raise Full

    bench.file.write = full
    with pytest.raises(Full):
        await send_many(bench, 2 * FCNT_BLOCK)
    assert 0 < len(bench.network.uplinks) <= FCNT_BLOCK
    await bench.clock.advance(1)


async def test_counters_go_on_over_16_bits(bench):
    bench.device._state.session.fcnt_up = bench.network.next_up = 0x1FFFF
    bench.device._state.session.fcnt_down = bench.network.next_down = 0x2FFFF
    for _ in range(3):
        assert (await bench.send(16, b"x", confirmed=True)).acknowledged
    assert bench.last.fcnt == 0x20001


async def test_the_last_counter_ends_the_session(bench):
    bench.device._state.session.fcnt_up = bench.network.next_up = 0xFFFFFFFF
    await bench.send(16, b"x")
    with pytest.raises(NotJoined):
        await bench.send(16, b"x")
    await bench.join()
    assert bench.device.epoch == 2


async def test_asks_for_the_time_until_it_is_told_and_knows_when_it_was(bench):
    await bench.send(16, b"x")
    assert mac.DeviceTimeReq() in bench.last.commands
    gps = gps_seconds(bench.clock.time()) + 1000.0
    bench.network.replies = [{"commands": [mac.DeviceTimeAns.at(gps)], "window": 2}]
    await bench.send(16, b"x")
    [(unix, monotonic)] = bench.events.times
    assert unix == pytest.approx(bench.clock.time() + 1000.0, abs=20)
    uplink_end = bench.last.at - bench.clock.time() + bench.clock.monotonic()
    assert monotonic == pytest.approx(uplink_end, abs=1e-6)
    await bench.send(16, b"x")
    assert bench.last.commands == []
    bench.device.want_time()
    await bench.send(16, b"x")
    assert bench.last.commands == [mac.DeviceTimeReq()]


async def test_answers_the_network_in_the_next_uplink(bench):
    await quiet(bench)
    requests = [
        mac.LinkADRReq(3, 2, 0x0007, 0, 1),
        mac.DutyCycleReq(0),
        mac.DevStatusReq(),
    ]
    bench.network.replies = [{"commands": requests}]
    await bench.send(16, b"x")
    await bench.send(16, b"x")
    assert bench.last.commands == [mac.LinkADRAns(True, True, True), mac.DutyCycleAns(), mac.DevStatusAns(0, 7)]
    assert (bench.last.dr, bench.last.power_dbm) == (3, 12)
    await bench.send(16, b"x")
    assert bench.last.commands == []


async def test_answers_that_the_slot_has_no_room_for_follow_it(bench):
    await quiet(bench)
    bench.network.replies = [{"commands": [mac.DevStatusReq()]}]
    await bench.send(16, b"x")
    before = len(bench.network.uplinks)
    device = bench.device
    slot = Planned(bench.clock.monotonic() + 60, 0, device.link.data_rate, device.airtime(16))
    await bench.send(16, b"y" * 16, planned=slot)
    assert (bench.last.uplink.payload, bench.last.commands) == (b"y" * 16, [])
    await bench.clock.advance(60)
    assert (bench.last.uplink.fport, bench.last.commands) == (None, [mac.DevStatusAns(0, 7)])
    assert len(bench.network.uplinks) == before + 2


async def test_repeats_sticky_answers_until_a_downlink_shows_that_they_arrived(bench):
    await quiet(bench)
    requests = [mac.RXParamSetupReq(1, 3, 869_525_000), mac.RXTimingSetupReq(2), mac.DlChannelReq(0, 868_300_000)]
    bench.network.replies = [{"commands": requests}]
    await bench.send(16, b"x")
    answers = [mac.RXParamSetupAns(True, True, True), mac.RXTimingSetupAns(), mac.DlChannelAns(True, True)]
    for _ in range(3):
        await bench.send(16, b"x")
        assert bench.last.commands == answers
        first, second = bench.last.windows
        assert (first.after_s, first.dr, second.after_s, second.dr) == (2, 4, 3, 3)
        if bench.last.frequency_hz == 868_100_000:
            assert first.freq_hz == 868_300_000
    bench.network.replies = [{}]
    await bench.send(16, b"x")
    await bench.send(16, b"x")
    assert bench.last.commands == []


async def test_more_answers_than_fit_beside_the_payload_go_first_on_port_0(bench):
    await quiet(bench)
    bench.network.replies = [{"commands": [mac.DevStatusReq()] * 7}]
    await bench.send(16, b"x")
    before = len(bench.network.uplinks)
    await bench.send(16, b"reading")
    first, second = bench.network.uplinks[before:]
    assert (first.uplink.fport, first.commands) == (0, [mac.DevStatusAns(0, 7)] * 7)
    assert (second.uplink.payload, second.commands) == (b"reading", [])


async def test_a_payload_that_leaves_no_room_for_questions_goes_without_them():
    bench = Bench(data_rate=0)
    async with bench.running():
        await bench.join()
        await bench.send(16, b"x" * 51)
        assert bench.last.commands == []
        with pytest.raises(PayloadTooLong):
            await bench.send(16, b"x" * 52)
        assert bench.device.max_payload == 50


async def test_commands_on_port_0_are_carried_out(bench):
    await quiet(bench)
    bench.network.replies = [{"commands": [mac.DevStatusReq()], "port0": True}]
    await bench.send(16, b"x")
    await bench.send(16, b"x")
    assert bench.last.commands == [mac.DevStatusAns(0, 7)]
    assert bench.events.downlinks == []


async def test_a_confirmed_downlink_is_acknowledged_without_waiting_for_the_next_reading(bench):
    bench.network.replies = [{"confirmed": True, "fport": 33, "payload": b"settings"}]
    await bench.send(16, b"x")
    assert bench.events.downlinks == [(33, b"settings")]
    before = len(bench.network.uplinks)
    await bench.clock.advance(10)
    [answer] = bench.network.uplinks[before:]
    assert answer.uplink.ack
    assert answer.uplink.fport is None
    await bench.send(16, b"x")
    assert not bench.last.uplink.ack


async def test_more_data_waiting_is_fetched_with_an_empty_uplink(bench):
    bench.network.replies = [{"class_b_or_pending": True}, {"fport": 33, "payload": b"more"}]
    await bench.send(16, b"x")
    await bench.clock.advance(10)
    assert bench.events.downlinks == [(33, b"more")]


async def test_a_link_check_is_answered_or_not(bench):
    await quiet(bench)
    bench.network.replies = [{"commands": [mac.LinkCheckAns(20, 2)]}]
    assert await finish(bench.clock, bench.device.link_check()) == mac.LinkCheckAns(20, 2)
    bench.network.mute = True
    assert await finish(bench.clock, bench.device.link_check()) is None


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ({"spoil": True}, "mic_mismatch"),
        ({"fcnt": 0}, "replay"),
    ],
)
async def test_a_downlink_that_is_not_authentic_or_not_new_is_refused(bench, reply, code):
    await quiet(bench)
    bench.network.replies = [{"fport": 33, "payload": b"x", **reply}]
    await bench.send(16, b"x")
    assert bench.device.refused == {code: 1}
    assert bench.events.downlinks == []


async def test_a_downlink_for_another_device_is_refused(bench):
    await quiet(bench)
    bench.network.session.dev_addr += 1
    bench.network.replies = [{"fport": 33, "payload": b"x"}]
    frame = bench.network.down
    bench.network.down = lambda **reply: (bytes([0x60]) + b"\0\0\0\1" + frame(**reply)[0][5:], 1)
    await bench.send(16, b"x")
    assert bench.device.refused == {"not_for_us": 1}


async def test_a_replayed_downlink_is_refused_after_a_power_failure_too(bench):
    bench.network.replies = [{"fport": 33, "payload": b"once"}]
    await bench.send(16, b"x")
    bench.start()
    bench.network.replies = [{"fport": 33, "payload": b"once", "fcnt": 0}]
    await bench.send(16, b"x")
    assert bench.events.downlinks == [(33, b"once")]
    assert bench.device.refused == {"replay": 1}


async def test_the_duty_cycle_is_kept_whatever_the_application_wants():
    bench = Bench(data_rate=0)
    async with bench.running():
        await bench.join()
        begin = bench.clock.time()
        for _ in range(40):
            await bench.send(16, b"x" * 40)
        from meterwire.lorawan.airtime import airtime_s

        sent = [(u.at, airtime_s(len(u.frame), u.dr)) for u in bench.network.uplinks]
        for at, _ in sent:
            assert sum(air for end, air in sent if at - 3600 < end <= at) <= 36.0
        assert bench.clock.time() - begin > 3600


async def test_the_duty_cycle_is_kept_over_a_power_failure():
    bench = Bench(data_rate=0)
    async with bench.running():
        await bench.join()
        for _ in range(13):
            await bench.send(16, b"x" * 40)
        bench.start()
        begin = bench.clock.time()
        await bench.send(16, b"x" * 40)
        assert bench.clock.time() - begin > 3000


async def test_the_overall_duty_cycle_of_the_network_is_kept(bench):
    bench.network.replies = [{"commands": [mac.DutyCycleReq(7)]}]
    await bench.send(16, b"x")
    await bench.send(16, b"x")
    first = bench.last.at
    await bench.send(16, b"x")
    from meterwire.lorawan.airtime import airtime_s

    length = airtime_s(len(bench.network.uplinks[-2].frame), 5)
    assert bench.last.at - first >= length * 127


async def test_nb_trans_repeats_unconfirmed_uplinks_until_something_is_heard(bench):
    await quiet(bench)
    bench.network.replies = [{"commands": [mac.LinkADRReq(15, 15, 7, 0, 3)]}]
    await bench.send(16, b"x")
    before = len(bench.network.uplinks)
    await bench.send(16, b"thrice")
    assert len({uplink.frame for uplink in bench.network.uplinks[before:]}) == 1
    assert len(bench.network.uplinks) - before == 3
    before = len(bench.network.uplinks)
    bench.network.replies = [{"nothing": True}, {}]
    await bench.send(16, b"twice")
    assert len(bench.network.uplinks) - before == 2


async def test_a_radio_out_of_order_is_an_error_that_wastes_nothing_else(bench):
    bench.network.broken = True
    with pytest.raises(PhyError):
        await bench.send(16, b"x")
    bench.network.broken = False
    assert (await bench.send(16, b"y", confirmed=True)).acknowledged


async def test_sending_without_a_session_is_refused():
    bench = Bench()
    with pytest.raises(NotJoined):
        await bench.send(16, b"x")


async def test_a_full_disk_keeps_join_requests_back_until_the_nonce_is_saved(caplog):
    bench = Bench()
    write = bench.file.write

    def full(content: bytes) -> None:
        raise SealedFileError("no space left")

    bench.file.write = full
    async with bench.running():
        await bench.clock.advance(300)
        assert bench.network.joins == []
        assert "no space left" in caplog.text
        bench.file.write = write
        await bench.join()


@pytest.mark.parametrize("jump", [-400_000.0, 400_000.0])
async def test_a_clock_that_is_set_stops_nothing(jump):
    bench = Bench(data_rate=0)
    async with bench.running():
        await bench.join()
        for _ in range(16):
            await bench.send(16, b"x" * 40)
        bench.clock.jump(jump)
        begin = bench.clock.monotonic()
        await bench.send(16, b"x" * 40)
        assert bench.clock.monotonic() - begin < 2 * 3600


async def test_a_device_without_nonces_says_so_and_lives_on(caplog):
    bench = Bench()
    bench.device._state.dev_nonce = 0x10000
    async with bench.running():
        await bench.clock.advance(10)
    assert "all 65536 DevNonces are used" in caplog.text
    assert bench.network.joins == []


async def quiet(bench: Bench) -> None:
    """Bring the device to where it asks nothing."""
    bench.network.replies = [{"commands": [mac.DeviceTimeAns.at(gps_seconds(bench.clock.time()))]}]
    await bench.send(16, b"x")
    bench.network.uplinks.clear()


async def send_many(bench: Bench, count: int) -> None:
    for _ in range(count):
        await bench.send(16, b"x")
