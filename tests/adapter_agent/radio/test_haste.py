"""Haste: joined at once, a lost network noticed at once, and no limit of the air lifted for it."""

import asyncio
from contextlib import asynccontextmanager
from random import Random

import pytest

from adapter_agent.radio.backoff import FIRST_HOUR_S
from adapter_agent.radio.join import HASTY_RATES
from adapter_agent.radio.mac import EndDevice
from adapter_agent.radio.phy import Heard
from adapter_agent.radio.settings import Identity, MacSettings
from adapter_agent.radio.silence import DOUBTFUL_TRIES
from adapter_agent.radio.state import RadioStore
from edge.clock import ManualClock
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.region import EU868
from tests.adapter_agent.radio.network import DEV_EUI, JOIN_EUI, ROOT, Events, Memory, Network, finish


class Bench:
    def __init__(self, data_rate: int = 5) -> None:
        self.clock, self.memory = ManualClock(), Memory()
        self.network = Network(self.clock)
        self.settings = MacSettings(EU868, data_rate)

    @asynccontextmanager
    async def device(self):
        device = EndDevice(
            Identity(DEV_EUI, JOIN_EUI, ROOT),
            self.settings,
            self.network,
            store=RadioStore(self.memory, EU868),
            clock=self.clock,
            events=Events(),
            random=Random(5),
        )
        task = asyncio.create_task(device.run())
        try:
            yield device
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_it_wakes_a_device_that_had_given_up_hurrying():
    bench = Bench()
    bench.network.mute = True
    async with bench.device() as device:
        await bench.clock.advance(3000)
        bench.network.mute = False
        count, now = len(bench.network.joins), bench.clock.time()
        device.hasten(True)
        await bench.clock.advance(10)
        assert len(bench.network.joins) == count + 1
        assert bench.network.joins[-1].at - now < 2
        assert device.epoch == 1


@pytest.mark.parametrize("data_rate", [0, 2, 5])
async def test_rates_alternate_and_the_back_off_holds(data_rate):
    bench = Bench(data_rate)
    bench.network.mute = True
    async with bench.device() as device:
        device.hasten(True)
        await bench.clock.advance(3590)
    rates = [join.dr for join in bench.network.joins]
    assert rates[:8] == [min(rate, data_rate) for rate in HASTY_RATES]
    air = sum(airtime_s(len(join.frame), join.dr) for join in bench.network.joins)
    assert FIRST_HOUR_S - 2 < air <= FIRST_HOUR_S


async def test_a_network_not_heard_since_is_given_up_after_one_uplink_and_one_heard_is_not():
    bench = Bench()
    async with bench.device() as device:
        await finish(bench.clock, device.ready(10))
        device.hasten(True)
        bench.network.mute = True
        await finish(bench.clock, device.send(2, b"?", confirmed=True))
        assert len(bench.network.uplinks) == DOUBTFUL_TRIES
        bench.network.mute = False
        await bench.clock.advance(10)
        assert len(bench.network.joins) == 2
        assert device.epoch == 2
        bench.network.mute = True
        await finish(bench.clock, device.send(2, b"?", confirmed=True))
        assert len(bench.network.uplinks) == DOUBTFUL_TRIES + bench.settings.confirm_tries
        bench.network.mute = False
        await bench.clock.advance(10)
        assert len(bench.network.joins) == 2, "one loss on a busy air is no lost network"


async def test_afterwards_the_usual_patience_holds_again():
    bench = Bench()
    async with bench.device() as device:
        await finish(bench.clock, device.ready(10))
        device.hasten(True)
        device.hasten(False)
        bench.network.mute = True
        await finish(bench.clock, device.send(2, b"?", confirmed=True))
        assert len(bench.network.uplinks) == bench.settings.confirm_tries
        bench.network.mute = False
        await bench.clock.advance(30)
        assert len(bench.network.joins) == 1


@pytest.mark.parametrize(
    ("snr", "window", "rate"),
    [
        (7.0, 1, 5),  # strong: the requests were slow only because nobody served the device
        (0.5, 1, 4),
        (-9.75, 1, 0),  # 10 dB above the floor of the slowest rate, and of no other
        (-21.0, 1, 0),
        (7.0, 2, 0),  # in the second window the gateway may be far louder than the device
    ],
)
async def test_the_first_rate_is_what_the_answer_carries_and_never_slower_than_the_request(snr, window, rate):
    bench = Bench()
    bench.network.mute = True
    async with bench.device() as device:
        device.hasten(True)
        while len(bench.network.joins) < HASTY_RATES.index(0):
            await bench.clock.advance(0.5)
        bench.network.mute, bench.network.snr, bench.network.window = False, snr, window
        while not device.epoch:
            await bench.clock.advance(1)
        assert bench.network.joins[-1].dr == 0
        assert device.link.data_rate == rate


async def test_after_a_lost_session_only_a_very_strong_answer_is_believed():
    rates = []
    for snr in (7.0, 13.0):
        bench = Bench()
        async with bench.device() as device:
            await bench.clock.advance(20)
            assert device.epoch == 1
            request = device._joining._request(9, 0)
            rates.append(device._joining._rate_after(request, Heard(b"", 1, -60.0, snr)))
    assert rates == [2, 5]
