"""Listening through the link to a simulated air: over TCP on this machine, against the air's own server.

What waits for windows to pass does so in virtual time.
"""

import asyncio
from contextlib import asynccontextmanager
from random import Random

import pytest

from adapter_agent.radio import listening
from adapter_agent.radio.base import Ear
from adapter_agent.radio.phy import Exchange, Overheard, PhyError
from adapter_agent.radio.virtual import MAX_LINE, AirLink
from adapter_agent.simulation.air import Air
from adapter_agent.simulation.air_server import AirServer
from adapter_agent.simulation.gateway import Downlink, GatewayRadio
from edge.clock import ManualClock, SystemClock
from meterwire.beacon import LENGTH
from meterwire.lorawan.airtime import airtime_s
from meterwire.lorawan.region import EU868
from tests.adapter_agent.radio.air import AirServer as Scripted
from tests.adapter_agent.radio.network import DEV_EUI
from tests.support.virtual_loop import VirtualClock, in_virtual_time

GATEWAY = "aa555a0000000101"
RX2_HZ, CHANNEL_HZ, DR = 869_525_000, 868_100_000, 5
BEACON = bytes(range(LENGTH))
BUSY_MACHINE_S = 0.2


class Attentive(Air):
    """Tells when somebody listens."""

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        self.listened_to = asyncio.Event()

    async def listen(self, dev_eui, **where):
        asyncio.get_running_loop().call_soon(self.listened_to.set)
        return await super().listen(dev_eui, **where)


class Site:
    """One gateway and one adapter's link."""

    def __init__(self) -> None:
        self.clock = VirtualClock.here()
        self.air = Attentive(self.clock, fading_db=0, shadow_db=0)
        self.gateway = self.air.add(GatewayRadio(GATEWAY, self.clock))
        self.server = AirServer(self.air)

    def link(self) -> AirLink:
        return AirLink("127.0.0.1", self.server.port, DEV_EUI, self.clock, Random(1))

    def beacon_in(self, seconds: float) -> float:
        """When it begins."""
        begin = self.clock.monotonic() + seconds
        end = begin + airtime_s(LENGTH, DR, uplink=False)
        self.gateway.send(Downlink(GATEWAY, BEACON, RX2_HZ, EU868.data_rate(DR), 27.0, begin, end))
        return begin


@asynccontextmanager
async def site():
    place = Site()
    await place.server.start()
    link = place.link()
    try:
        yield place, link
    finally:
        link.close()
        await place.server.stop()
        await place.air.close()


async def listen(link: AirLink, seconds: float) -> Overheard | None:
    async with asyncio.timeout(10):
        return await link.listen(freq_hz=RX2_HZ, dr=DR, seconds=seconds)


@in_virtual_time
async def test_a_beacon_is_heard_with_the_moment_at_which_it_began_however_wide_the_window():
    async with site() as (place, link):
        asked = place.clock.monotonic()
        listening = asyncio.create_task(listen(link, 1.5))
        await place.air.listened_to.wait()
        begin = place.beacon_in(0.3)
        heard = await listening
        assert heard.frame == BEACON
        assert (heard.rssi, heard.snr) == (-78.0, 13.0)
        assert asked + heard.after_s == pytest.approx(begin, abs=BUSY_MACHINE_S)


@in_virtual_time
async def test_its_moment_counts_from_the_call_even_where_the_link_had_to_be_made_first():
    async with site() as (place, link):
        await place.server.stop()
        asked = place.clock.monotonic()
        listening = asyncio.create_task(listen(link, 1.0))
        await asyncio.sleep(0.4)  # the second try comes 1.2 s after the call
        place.server = AirServer(place.air, port=place.server.port)
        await place.server.start()
        await place.air.listened_to.wait()
        begin = place.beacon_in(0.3)
        heard = await listening
        assert asked + heard.after_s == pytest.approx(begin, abs=BUSY_MACHINE_S)


@in_virtual_time
async def test_a_window_without_a_beacon_is_silent_and_the_link_goes_on():
    async with site() as (place, link):
        assert await listen(link, 0.05) is None
        place.beacon_in(0.5)
        assert (await listen(link, 1.0)).frame == BEACON


@in_virtual_time
async def test_a_radio_that_still_sends_on_an_older_link_is_busy():
    async with site() as (place, link):
        place.air.occupy(str(DEV_EUI))
        with pytest.raises(PhyError, match="still sending or listening"):
            await listen(link, 0.05)
        place.air.release(str(DEV_EUI))
        assert await listen(link, 0.05) is None


@in_virtual_time
async def test_a_data_rate_that_no_beacon_has_is_refused():
    async with site() as (_, link):
        with pytest.raises(PhyError, match="the air refused"):
            async with asyncio.timeout(10):
                await link.listen(freq_hz=RX2_HZ, dr=7, seconds=0.05)


@pytest.mark.parametrize(
    "answer",
    [
        "hang up",
        "no json",
        "[]",
        '{"t":"rx","id":1}',
        '{"t":"none","id":2}',
        '{"t":"end","id":1,"start":1,"end":2}',
        '{"t":"rx","id":1,"after_us":-1,"rssi":1,"snr":1,"frame":""}',
        '{"t":"rx","id":1,"after_us":1e300,"rssi":1,"snr":1,"frame":""}',
        '{"t":"rx","id":1,"after_us":"soon","rssi":1,"snr":1,"frame":""}',
        '{"t":"rx","id":1,"after_us":1,"rssi":null,"snr":1,"frame":""}',
        '{"t":"rx","id":1,"after_us":1,"rssi":1,"snr":1,"frame":"?"}',
        '{"t":"error","message":"no such channel"}',
        "x" * (MAX_LINE + 10),
    ],
)
async def test_an_answer_that_is_none_is_an_error_and_the_next_exchange_works(answer):
    server = Scripted()
    await server.start()
    link = AirLink("127.0.0.1", server.port, DEV_EUI, SystemClock(), Random(1))
    server.misbehave = answer
    with pytest.raises(PhyError):
        await listen(link, 0.05)
    assert [request["t"] for request in server.requests] == ["listen"]
    assert server.requests[0]["for_us"] == 50_000
    server.misbehave = '{"t":"none","id":2}'
    assert await listen(link, 0.05) is None
    assert len(server.hellos) == 2
    link.close()
    await server.stop()


@in_virtual_time
async def test_listening_does_not_disturb_an_exchange_that_follows():
    async with site() as (_, link):
        assert await listen(link, 0.02) is None
        async with asyncio.timeout(10):
            sent = await link.exchange(bytes(29), freq_hz=CHANNEL_HZ, dr=DR, power_dbm=14, windows=())
        assert isinstance(sent, Exchange)
        assert sent.end - sent.start == pytest.approx(airtime_s(29, DR), abs=1e-3)


async def test_who_waits_for_the_air_at_the_same_time_shares_one_connection():
    server = Scripted()
    await server.start()
    link = AirLink("127.0.0.1", server.port, DEV_EUI, SystemClock(), Random(1))
    await asyncio.gather(link.connected(), link.connected(), link.connected())
    async with asyncio.timeout(20):
        while not server.hellos:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)  # another one would have come, too
    assert len(server.hellos) == 1
    link.close()
    await server.stop()


async def test_a_radio_that_is_not_ready_in_time_hears_no_beacon_and_holds_up_nobody():
    clock, air, begin = ManualClock(), asyncio.Lock(), 10.0
    ear = Ear(RX2_HZ, DR, clock.monotonic() + begin, 0.05)
    link = AirLink("127.0.0.1", 1, DEV_EUI, clock, Random(1))
    waiting = asyncio.create_task(listening.listen(ear, link, air, clock, asyncio.Event().wait))
    await clock.advance(begin)
    assert not waiting.done()
    assert not air.locked()
    await clock.advance(0.1)
    with pytest.raises(PhyError, match="not ready"):
        await waiting
