"""The connection to a simulated air: kept, made again, and never trusted further than its protocol goes."""

import asyncio
from random import Random

import pytest

from adapter_agent.radio.phy import PhyError, Window
from adapter_agent.radio.virtual import MAX_LINE, AirLink
from edge.clock import SystemClock
from tests.adapter_agent.radio.air import AirServer
from tests.adapter_agent.radio.network import DEV_ADDR, DEV_EUI, JOIN_EUI, ROOT

WINDOWS = (Window(1, 868_100_000, 5), Window(2, 869_525_000, 0))
REQUEST = ROOT.sign_join_request(JOIN_EUI, DEV_EUI, 1)


@pytest.fixture
async def air():
    server = AirServer()
    await server.start()
    yield server
    await server.stop()


def link_to(port: int) -> AirLink:
    return AirLink("127.0.0.1", port, DEV_EUI, SystemClock(), Random(1))


async def exchange(link: AirLink, frame: bytes = REQUEST):
    async with asyncio.timeout(30):
        return await link.exchange(frame, freq_hz=868_100_000, dr=5, power_dbm=14, windows=WINDOWS)


async def test_an_exchange_travels_as_agreed(air):
    link = link_to(air.port)
    result = await exchange(link)
    assert air.hellos == [{"t": "hello", "dev_eui": str(DEV_EUI)}]
    [request] = air.requests
    assert {key: request[key] for key in ("t", "id", "freq", "dr", "power")} == {
        "t": "tx",
        "id": 1,
        "freq": 868_100_000,
        "dr": 5,
        "power": 14,
    }
    assert request["rx"] == [
        {"after_us": 1_000_000, "freq": 868_100_000, "dr": 5},
        {"after_us": 2_000_000, "freq": 869_525_000, "dr": 0},
    ]
    assert (result.start, result.end) == (1.0, 2.0)
    assert (result.heard.window, result.heard.rssi, result.heard.snr) == (1, -80.0, 7.0)
    assert ROOT.decrypt_join_accept(result.heard.frame).dev_addr == DEV_ADDR
    link.close()


@pytest.mark.parametrize(
    "answer",
    [
        "hang up",
        "no json",
        "[]",
        '{"t":"rx"}',
        '{"t":"end","id":99,"start":1,"end":2}',
        '{"t":"end","id":1}',
        '{"t":"end","id":1,"start":1,"end":2}\n{"t":"rx","id":1,"window":3,"rssi":1,"snr":1,"frame":""}',
        '{"t":"end","id":1,"start":1,"end":2}\n{"t":"rx","id":1,"window":1,"rssi":1,"snr":1,"frame":"?"}',
        '{"t":"error","message":"no such channel"}',
        "x" * (MAX_LINE + 10),
    ],
)
async def test_a_wrong_answer_is_an_error_and_the_next_exchange_works(air, answer):
    link = link_to(air.port)
    air.misbehave = answer
    with pytest.raises(PhyError):
        await exchange(link)
    assert (await exchange(link)).heard is not None
    assert len(air.hellos) == 2
    link.close()


async def test_waits_for_an_air_that_is_not_there_yet_and_finds_it_again(caplog):
    server = AirServer()
    await server.start()
    port = server.port
    await server.stop()
    link = link_to(port)
    waiting = asyncio.create_task(exchange(link))
    async with asyncio.timeout(20):
        while "no air at" not in caplog.text:
            await asyncio.sleep(0.01)
    await server.start(port)
    assert (await waiting).heard is not None
    assert caplog.text.count("no air at") == 1
    link.close()
    await server.stop()


async def test_a_cancelled_exchange_leaves_nothing_behind_for_the_next(air):
    link = link_to(air.port)
    air.misbehave = '{"t":"end","id":1,"start":1,"end":2}'  # and then nothing
    cancelled = asyncio.create_task(exchange(link))
    while not air.requests:
        await asyncio.sleep(0.01)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    assert (await exchange(link)).heard is not None
    link.close()
