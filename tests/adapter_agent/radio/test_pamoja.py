"""Our end device against a foreign network server, pamoja-gateway 0.2.0 (an independent 1.0.4 implementation).

Its server has known gaps, which these tests go around: it accepts a replayed join-request, it never sets the ACK bit
after a confirmed uplink, it forgets the old session at once on a new join, it answers no MAC command by itself, and it
sends a join-accept at the RX1 offset that only this accept tells the device about.
"""

import asyncio
from random import Random

import pytest

from adapter_agent.radio.mac import EndDevice
from adapter_agent.radio.phy import Exchange, Heard
from adapter_agent.radio.settings import Identity, MacSettings
from adapter_agent.radio.state import RadioStore
from edge.clock import ManualClock
from meterwire.lorawan import mac_commands as mac
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.crypto import RootKey
from meterwire.lorawan.gpstime import gps_seconds
from meterwire.lorawan.region import EU868
from tests.adapter_agent.radio.network import DEV_EUI, JOIN_EUI, Events, Memory, finish

pamoja = pytest.importorskip("pamoja.gateway", reason="pamoja-gateway is not installed (extra dev)")
native = pytest.importorskip("pamoja._native")
lora = pytest.importorskip("pamoja.lora")

KEY = bytes(range(16))


class Judge:
    """A Phy whose far end is pamoja's network. Whatever it sends must hit one of the device's windows exactly."""

    def __init__(self, clock: ManualClock, **options) -> None:
        self.clock = clock
        self.network = pamoja.Network(lora.ChannelPlan.for_region("EU868"), 0x13, **options)
        self.network.register(DEV_EUI.bytes, JOIN_EUI.bytes, KEY, "1.0.4")
        self.events: list = []
        self.frames: list[bytes] = []
        self.commands: list[mac.MacCommand] = []  # for the next uplink's answer
        self.answer: tuple[int, bytes] | None = None

    async def exchange(self, frame, *, freq_hz, dr, power_dbm, windows) -> Exchange:
        start = self.clock.time()
        await self.clock.sleep(airtime_s(len(frame), dr))
        end = self.clock.time()
        rate = EU868.data_rate(dr)
        heard = pamoja.Rxpk(
            freq_hz,
            frame,
            link=lora.link(rate.spreading_factor, rate.bandwidth_hz),
            rssi_dbm=-80.0,
            snr_db=7.0,
            timestamp_us=1_000_000,
        )
        if self.frames and frame == self.frames[-1]:
            with pytest.raises(Exception, match="already seen"):
                self.network.uplink(heard)
            packet = None
        else:
            event = self.network.uplink(heard)
            self.events.append(event)
            packet = self.reply(event)
        self.frames.append(frame)
        if packet is None:
            await self.clock.sleep(windows[-1].after_s + 0.1)
            return Exchange(start, end, None)
        after_s = (packet.timestamp_us - 1_000_000) / 1e6
        [number] = [
            number
            for number, window in enumerate(windows, 1)
            if window.after_s == after_s
            and window.freq_hz == packet.frequency_hz
            and (
                event.outcome == "joined" or EU868.data_rate(window.dr).spreading_factor == packet.link.spreading_factor
            )
        ]
        assert packet.invert_polarity
        await self.clock.sleep(after_s + airtime_s(len(packet.payload), windows[number - 1].dr, uplink=False))
        return Exchange(start, end, Heard(bytes(packet.payload), number, -80.0, 7.0))

    def reply(self, event):
        if event.outcome == "joined":
            return event.accept
        assert event.outcome == "data", "the judge did not recognise a frame of ours"
        if self.commands:
            stream, self.commands = mac.encode_commands(self.commands), []
            return self.network.command(event.dev_addr, event.slot, native.lorawan_mac_parse("Downlink", stream))
        if self.answer:
            (port, payload), self.answer = self.answer, None
            return self.network.answer(event.dev_addr, event.slot, port, payload)
        return None

    def heard_commands(self) -> list[mac.MacCommand]:
        """What we said in the FOpts of the last uplink; they travel in the clear."""
        frame = self.frames[-1]
        return mac.parse_commands(frame[8 : 8 + (frame[5] & 15)], uplink=True)[0]


class Bench:
    def __init__(self, **options) -> None:
        self.clock = ManualClock()
        self.judge = Judge(self.clock, **options)
        self.events = Events()
        self.device = EndDevice(
            Identity(DEV_EUI, JOIN_EUI, RootKey(KEY)),
            MacSettings(EU868),
            self.judge,
            store=RadioStore(Memory(), EU868),
            clock=self.clock,
            events=self.events,
            random=Random(2),
        )

    async def send(self, *arguments, **options):
        return await finish(self.clock, self.device.send(*arguments, **options))


@pytest.fixture(params=[{}, {"rx1_data_rate_offset": 2}, {"receive_delay_us": 5_000_000}])
async def bench(request):
    made = Bench(**request.param)
    running = asyncio.create_task(made.device.run())
    await finish(made.clock, made.device.ready(20))
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_joins_and_is_read(bench):
    joined = bench.judge.events[0]
    assert (joined.outcome, joined.dev_eui.lower()) == ("joined", str(DEV_EUI))
    for number in range(3):
        sent = await bench.send(16, b"reading %d" % number)
        event = bench.judge.events[-1]
        assert (event.fport, bytes(event.payload), event.fcnt) == (16, b"reading %d" % number, sent.fcnt)


async def test_confirmed_uplinks_are_recognised_as_such_and_repeated_in_vain(bench):
    before = len(bench.judge.frames)
    sent = await bench.send(16, b"x", confirmed=True)
    assert bench.judge.events[-1].confirmed
    assert not sent.acknowledged  # the judge knows no ACK
    assert len(bench.judge.frames) - before == 4


async def test_takes_its_downlinks(bench):
    bench.judge.answer = (33, b"settings")
    await bench.send(16, b"x")
    assert bench.events.downlinks == [(33, b"settings")]


async def test_understands_its_commands_and_is_understood(bench):
    bench.judge.commands = [mac.DeviceTimeAns.at(gps_seconds(bench.clock.time()))]
    await bench.send(16, b"x")
    assert len(bench.events.times) == 1
    bench.judge.commands = [
        mac.LinkADRReq(4, 1, 0x0007, 0, 1),
        mac.DevStatusReq(),
        mac.NewChannelReq(3, 867_100_000, 0, 5),
    ]
    await bench.send(16, b"x")
    await bench.send(16, b"x")
    answers = [mac.LinkADRAns(True, True, True), mac.DevStatusAns(0, 7), mac.NewChannelAns(True, True)]
    assert bench.judge.heard_commands() == answers
    theirs = native.lorawan_mac_parse("Uplink", mac.encode_commands(answers))
    assert [command.cid for command in theirs] == [3, 6, 7]
    assert (theirs[1].battery, theirs[1].snr_margin) == (0, 7)


async def test_goes_on_over_16_bits_and_joins_again(bench):
    state = bench.device._state.session
    for counter in (0x8000, 0xFFFF, 0x10000):
        state.fcnt_up = counter
        await bench.send(16, b"x")
        assert bench.judge.events[-1].fcnt == counter
    bench.device._end_session("test")
    await finish(bench.clock, bench.device.ready(20))
    assert bench.device.epoch == 2
    await bench.send(16, b"again")
    assert bytes(bench.judge.events[-1].payload) == b"again"
