"""Adapters as processes reach the air over TCP; what they may not send is answered and ends the link."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter_agent.radio.phy import Heard, PhyError, Window
from adapter_agent.radio.virtual import AirLink
from adapter_agent.simulation.air import Air
from adapter_agent.simulation.air_server import MAX_LINE, AirServer, AirServerError
from adapter_agent.simulation.gateway import Downlink, GatewayRadio, Reception
from edge.clock import ScaledClock, SystemClock
from meterwire.ids import DevEUI
from meterwire.lorawan.region import EU868
from tests.simulation.driving import within_deadline

GATEWAY = "aa555a0000000101"
HELLO = {"t": "hello", "dev_eui": "70B3D57ED0061000"}
CHANNEL = 868_100_000
TX: dict[str, Any] = {
    "t": "tx",
    "id": 7,
    "freq": CHANNEL,
    "dr": 5,
    "power": 14,
    "frame": b64encode(bytes(29)).decode(),
    "rx": [
        {"after_us": 1_000_000, "freq": CHANNEL, "dr": 5},
        {"after_us": 2_000_000, "freq": 869_525_000, "dr": 0},
    ],
}


class Link:
    """An adapter's end of the connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    def say(self, message: dict[str, Any]) -> None:
        self.writer.write(msgspec.json.encode(message) + b"\n")

    async def hear(self) -> dict[str, Any] | None:
        line = await within_deadline(self._reader.readline())
        return msgspec.json.decode(line) if line else None


class Served:
    """An air with one gateway behind a server, forty times as fast as the machine."""

    def __init__(self) -> None:
        self.clock = ScaledClock(40.0)
        self.air = Air(self.clock, fading_db=0, shadow_db=0)
        self.radio = self.air.add(GatewayRadio(GATEWAY, self.clock))
        self.server = AirServer(self.air)

    async def link(self, hello: dict[str, Any] | None = HELLO) -> Link:
        link = Link(*await asyncio.open_connection("127.0.0.1", self.server.port))
        if hello is not None:
            link.say(hello)
        return link


@asynccontextmanager
async def serving() -> AsyncIterator[Served]:
    served = Served()
    await served.server.start()
    try:
        yield served
    finally:
        await served.server.stop()
        await served.air.close()


def second_window(served: Served, reception: Reception) -> Downlink:
    start = served.radio.instant(reception.tmst + 2_000_000)
    return Downlink(GATEWAY, b"\x60down", 869_525_000, EU868.data_rate(0), 27.0, start, start + 1.0)


async def test_an_exchange_without_an_answer_ends_with_none() -> None:
    async with serving() as served:
        link = await served.link()
        link.say(TX)
        end = await link.hear()
        assert end is not None
        assert (end["t"], end["id"]) == ("end", 7)
        assert end["end"] - end["start"] == pytest.approx(0.0668, abs=1e-3)
        assert await link.hear() == {"t": "none", "id": 7}
        link.say({**TX, "id": 8})
        assert (await link.hear() or {})["id"] == 8


async def test_a_downlink_is_handed_over_with_its_window() -> None:
    async with serving() as served:
        served.radio.listen(lambda reception: served.radio.send(second_window(served, reception)))
        link = await served.link()
        link.say(TX)
        await link.hear()
        heard = await link.hear()
        assert heard == {"t": "rx", "id": 7, "window": 2, "rssi": -78.0, "snr": 13.0, "frame": "YGRvd24="}


async def test_who_listens_is_told_of_a_frame_and_when_it_began() -> None:
    async with serving() as served:
        link = await served.link()
        begin = served.clock.monotonic() + 3.0
        served.radio.send(Downlink(GATEWAY, b"beacon", 869_525_000, EU868.data_rate(3), 27.0, begin, begin + 0.2))
        link.say({"t": "listen", "id": 9, "freq": 869_525_000, "dr": 3, "for_us": 6_000_000})
        heard = await link.hear() or {}
        assert (heard["t"], heard["id"], heard["frame"]) == ("rx", 9, "YmVhY29u")
        assert 0 < heard["after_us"] <= 3_000_000
        link.say({"t": "listen", "id": 10, "freq": 869_525_000, "dr": 3, "for_us": 1_000_000})
        assert await link.hear() == {"t": "none", "id": 10}


@pytest.mark.parametrize("change", [{"for_us": -1}, {"for_us": 16_000_001}, {"dr": 99}, {"id": None}])
async def test_a_bad_wish_to_listen_is_answered_and_ends_the_link(change: dict[str, Any]) -> None:
    async with serving() as served:
        link = await served.link()
        link.say({"t": "listen", "id": 9, "freq": 869_525_000, "dr": 3, "for_us": 1_000_000, **change})
        assert (await link.hear() or {})["t"] == "error"
        assert await link.hear() is None


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"no json\n",
        b"[]\n",
        b'{"t":"hello"}\n',
        b'{"t":"hello","dev_eui":"xyz"}\n',
        b'{"t":"hello","dev_eui":5}\n',
        b'{"t":"tx","id":1}\n',
        b"\xff\xfe\n",
        b"[" * 3000 + b"\n",
        b'{"t":"hello","dev_eui":"' + b"0" * 3000 + b'"}\n',
        b"x" * (MAX_LINE + 1) + b"\n",
        b"x" * (4 * MAX_LINE),
    ],
)
async def test_a_bad_hello_is_answered_and_ends_the_link(line: bytes) -> None:
    async with serving() as served:
        link = await served.link(None)
        link.writer.write(line)
        answer = await link.hear()
        assert answer is not None
        assert answer["t"] == "error"
        assert answer["message"]
        assert await link.hear() is None


@pytest.mark.parametrize(
    "change",
    [
        {"id": -1},
        {"id": "one"},
        {"freq": 2_500_000_000},
        {"freq": 868_650_000},  # between the sub-bands
        {"dr": 7},  # FSK
        {"dr": 99},
        {"power": 60},
        {"frame": ""},
        {"frame": b64encode(bytes(256)).decode()},
        {"frame": "***"},
        {"rx": [{"after_us": -1, "freq": CHANNEL, "dr": 5}]},
        {"rx": [{"after_us": 17_000_000, "freq": CHANNEL, "dr": 5}]},
        {"rx": TX["rx"] * 2},
        {"t": "txt"},
    ],
)
async def test_a_bad_transmission_is_answered_and_ends_the_link(change: dict[str, Any]) -> None:
    async with serving() as served:
        link = await served.link()
        link.say({**TX, **change})
        answer = await link.hear()
        assert answer is not None
        assert answer["t"] == "error"
        assert await link.hear() is None
        again = await served.link()
        again.say({**TX, "rx": []})
        assert (await again.hear() or {})["t"] == "end"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_no_line_whatsoever_harms_the_server(line: bytes) -> None:
    async def attempt() -> None:
        async with serving() as served:
            link = await served.link(None)
            link.writer.write(line + b"\n")
            link.writer.write_eof()
            while await link.hear() is not None:
                pass
            good = await served.link()
            good.say({**TX, "rx": []})
            assert (await good.hear() or {})["t"] == "end"

    asyncio.run(attempt())


async def test_a_restarted_adapter_takes_its_place_over() -> None:
    async with serving() as served:
        old = await served.link()
        old.say(TX)
        await old.hear()  # sent, and listening now
        new = await served.link()
        new.say({**TX, "id": 9, "rx": []})
        assert await new.hear() is not None
        assert await new.hear() == {"t": "none", "id": 9}
        assert await old.hear() is None


async def test_the_adapters_own_link_exchanges_frames_and_outlives_a_restart_of_the_air() -> None:
    async with serving() as served:
        served.radio.listen(lambda reception: served.radio.send(second_window(served, reception)))
        link = AirLink("127.0.0.1", served.server.port, DevEUI.parse("70b3d57ed0061000"), SystemClock(), Random(1))
        windows = (Window(1.0, CHANNEL, 5), Window(2.0, 869_525_000, 0))
        for _ in range(2):
            exchange = await within_deadline(
                link.exchange(bytes(29), freq_hz=CHANNEL, dr=5, power_dbm=14, windows=windows)
            )
            assert exchange.heard == Heard(b"\x60down", 2, -78.0, 13.0)
        await served.server.stop()
        with pytest.raises(PhyError):
            await within_deadline(link.exchange(bytes(29), freq_hz=CHANNEL, dr=7, power_dbm=14, windows=windows))
        served.server = AirServer(served.air, port=served.server.port)
        await served.server.start()
        exchange = await within_deadline(link.exchange(bytes(29), freq_hz=CHANNEL, dr=5, power_dbm=14, windows=windows))
        assert exchange.heard is not None
        link.close()


async def test_a_link_that_says_nothing_costs_nothing() -> None:
    async with serving() as served:
        silent = await served.link(None)
        silent.writer.close()
        link = await served.link()
        link.say({**TX, "rx": []})
        assert (await link.hear() or {})["t"] == "end"


async def test_a_taken_port_is_named() -> None:
    async with serving() as served:
        with pytest.raises(AirServerError, match=f"127.0.0.1:{served.server.port}"):
            await AirServer(served.air, port=served.server.port).start()
