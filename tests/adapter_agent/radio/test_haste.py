"""Haste: joined at once, a lost network noticed at once, and no limit of the air lifted for it."""

import asyncio
from contextlib import asynccontextmanager
from random import Random

import pytest

from adapter_agent.radio.backoff import FIRST_HOUR_S
from adapter_agent.radio.join import HASTY_RATES
from adapter_agent.radio.mac import DOUBTFUL_TRIES, EndDevice
from adapter_agent.radio.settings import Identity, MacSettings
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
