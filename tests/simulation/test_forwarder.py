"""The packet forwarder against a plain UDP socket that plays the network server."""

import asyncio
import contextlib
import json
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapter_agent.radio.phy import Exchange, Window
from adapter_agent.simulation.air import Air
from adapter_agent.simulation.forwarder import Forwarder, ForwarderError
from adapter_agent.simulation.gateway import COUNTER_RANGE, GatewayRadio
from edge.clock import ManualClock
from meterwire.lorawan.gpstime import gps_seconds
from tests.simulation.driving import until

EUI = "aa555a0000000101"
ADAPTER = "70b3d57ed0061000"
FRAME = bytes(range(20))
PUSH_DATA, PUSH_ACK, PULL_DATA, PULL_RESP, PULL_ACK, TX_ACK = range(6)


class Server:
    """A network server's socket. Answers polls and pushes unless told to be silent."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address: tuple[str, int] = self.socket.getsockname()
        self.datagrams: list[tuple[bytes, tuple[str, int]]] = []
        self.silent = False
        asyncio.get_running_loop().add_reader(self.socket, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()

    def of(self, kind: int) -> list[bytes]:
        return [datagram for datagram, _ in self.datagrams if datagram[3] == kind]

    def body(self, kind: int, number: int = -1) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.of(kind)[number][12:])
        return found

    def rxpk(self) -> list[dict[str, Any]]:
        return [rx for datagram in self.of(PUSH_DATA) for rx in json.loads(datagram[12:]).get("rxpk", [])]

    def puller(self) -> tuple[str, int]:
        return next(source for datagram, source in reversed(self.datagrams) if datagram[3] == PULL_DATA)

    def respond(self, body: bytes, token: bytes = b"\x12\x34") -> None:
        self.socket.sendto(b"\x02" + token + b"\x03" + body, self.puller())

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                datagram, source = self.socket.recvfrom(65536)
                self.datagrams.append((datagram, source))
                if not self.silent and datagram[3] in (PUSH_DATA, PULL_DATA):
                    kind = PUSH_ACK if datagram[3] == PUSH_DATA else PULL_ACK
                    self.socket.sendto(datagram[:3] + bytes((kind,)), source)


class Field:
    """A gateway with its forwarder, an adapter in its air, and the server it talks to."""

    def __init__(self, server: Server, counter: int = 0, **options: Any) -> None:
        self.server = server
        self.clock = ManualClock()
        self.air = Air(self.clock, fading_db=0, shadow_db=0, default_loss_db=100.0)
        self.radio = self.air.add(GatewayRadio(EUI, self.clock, counter=counter))
        self.forwarder = Forwarder(self.radio, server.address, **options)
        self.exchanges: list[asyncio.Future[Exchange]] = []

    def uplink(
        self, windows: tuple[Window, ...] = (), *, adapter: str = ADAPTER, frequency: int = 868_100_000
    ) -> "asyncio.Future[Exchange]":
        phy = self.air.phy(adapter)
        exchange = asyncio.ensure_future(phy.exchange(FRAME, freq_hz=frequency, dr=5, power_dbm=14, windows=windows))
        self.exchanges.append(exchange)
        return exchange

    def txpk(self, **changes: Any) -> bytes:
        fields: dict[str, Any] = {
            "tmst": (self.radio.counter() + 1_000_000) % COUNTER_RANGE,
            "freq": 868.1,
            "rfch": 0,
            "powe": 14,
            "modu": "LORA",
            "datr": "SF7BW125",
            "codr": "4/5",
            "ipol": True,
            "ncrc": True,
            "size": len(FRAME),
            "data": b64encode(FRAME).decode(),
        }
        fields.update(changes)
        return json.dumps({"txpk": {name: value for name, value in fields.items() if value is not None}}).encode()

    async def answered(self, body: bytes, answers: int = 1) -> dict[str, Any]:
        """The TX_ACK that follows a PULL_RESP; the clock stands still meanwhile."""
        self.server.respond(body)
        await until(lambda: len(self.server.of(TX_ACK)) == answers)
        acknowledgement: dict[str, Any] = self.server.body(TX_ACK)["txpk_ack"]
        return acknowledgement


@asynccontextmanager
async def field(**options: Any) -> AsyncIterator[Field]:
    server = Server()
    made = Field(server, **options)
    task = asyncio.ensure_future(made.forwarder.run())
    try:
        await until(lambda: bool(server.of(PULL_DATA)))
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await made.air.close()
        server.close()


async def test_it_polls_at_once_and_every_five_seconds_from_a_socket_of_its_own() -> None:
    async with field() as here:
        for polls in (2, 3):
            await here.clock.advance(5.0)
            await until(lambda count=polls: len(here.server.of(PULL_DATA)) == count)
        await until(lambda: here.forwarder.tally.pulls_acknowledged == 3)
        assert all(datagram[4:].hex() == EUI for datagram in here.server.of(PULL_DATA))
        here.uplink()
        await until(lambda: bool(here.server.of(PUSH_DATA)), here.clock)
        sources = {datagram[3]: source for datagram, source in here.server.datagrams}
        assert sources[PUSH_DATA] != sources[PULL_DATA]


async def test_an_uplink_arrives_with_the_counter_at_its_end() -> None:
    async with field(counter=COUNTER_RANGE - 10_000) as here:
        here.uplink()
        await until(lambda: bool(here.server.rxpk()), here.clock)
        (received,) = here.server.rxpk()
        assert received["data"] == b64encode(FRAME).decode()
        assert received["tmst"] == 56_576 - 10_000  # 20 bytes at SF7, across the counter's wrap
        assert (received["freq"], received["datr"], received["rssi"], received["stat"]) == (868.1, "SF7BW125", -86, 1)


async def test_frames_that_end_together_share_a_datagram() -> None:
    async with field() as here:
        for number in range(3):
            here.uplink(adapter=f"{number:016x}", frequency=867_100_000 + number * 200_000)
        await until(lambda: len(here.server.rxpk()) == 3, here.clock)
        assert len(here.server.of(PUSH_DATA)) == 1


async def test_statistics_come_every_thirty_seconds() -> None:
    async with field(place=(52.5, 13.4, 34)) as here:
        here.uplink()
        await until(lambda: here.forwarder.tally.acknowledged == 1, here.clock)
        here.server.silent = True
        await here.clock.advance(30.0)
        await until(lambda: len(here.server.of(PUSH_DATA)) == 2)
        first = here.server.body(PUSH_DATA)["stat"]
        assert {name: first[name] for name in ("rxnb", "rxok", "rxfw", "ackr", "dwnb", "txnb")} == {
            "rxnb": 1, "rxok": 1, "rxfw": 1, "ackr": 100.0, "dwnb": 0, "txnb": 0,
        }  # fmt: skip
        assert (first["lati"], first["long"], first["alti"]) == (52.5, 13.4, 34)
        here.uplink()
        await here.clock.advance(30.0)
        await until(lambda: len(here.server.of(PUSH_DATA)) == 4)
        second = here.server.body(PUSH_DATA)["stat"]
        assert (second["rxnb"], second["ackr"]) == (1, 0.0)


async def test_an_answer_in_the_first_window_reaches_the_adapter() -> None:
    async with field() as here:
        exchange = here.uplink(windows=(Window(1.0, 868_100_000, 5),))
        await until(lambda: bool(here.server.rxpk()), here.clock)
        tmst = here.server.rxpk()[0]["tmst"]
        assert await here.answered(here.txpk(tmst=tmst + 1_000_000)) == {"error": "NONE"}
        assert here.server.of(TX_ACK)[0][:12].hex() == f"02123405{EUI}"
        await here.clock.advance(2.0)
        heard = exchange.result().heard
        assert heard is not None
        assert (heard.frame, heard.window) == (FRAME, 1)
        assert here.air.account.downlinks == here.forwarder.tally.sent == 1


@pytest.mark.parametrize(
    ("ahead", "error"),
    [(40_000, "TOO_LATE"), (42_501, "NONE"), (512_000_001, "TOO_EARLY"), (-1, "TOO_EARLY"), (-1_000_000, "TOO_EARLY")],
)
async def test_a_downlink_must_come_in_time(ahead: int, error: str) -> None:
    async with field(counter=COUNTER_RANGE - 20_000) as here:
        tmst = (here.radio.counter() + ahead) % COUNTER_RANGE
        assert (await here.answered(here.txpk(tmst=tmst)))["error"] == error
        assert here.air.account.downlinks == (error == "NONE")


async def test_a_second_downlink_at_the_same_time_collides() -> None:
    async with field() as here:
        assert (await here.answered(here.txpk()))["error"] == "NONE"
        assert (await here.answered(here.txpk(), 2))["error"] == "COLLISION_PACKET"
        later = here.txpk(tmst=here.radio.counter() + 2_000_000)
        assert (await here.answered(later, 3))["error"] == "NONE"
        assert here.forwarder.tally.answers == {"NONE": 2, "COLLISION_PACKET": 1}


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"freq": 862.9}, {"error": "TX_FREQ"}),
        ({"freq": 902.3}, {"error": "TX_FREQ"}),
        ({"powe": 15}, {"warn": "TX_POWER", "value": 14}),
        ({"powe": 30}, {"warn": "TX_POWER", "value": 27}),
        ({"powe": 2}, {"warn": "TX_POWER", "value": 12}),
        ({"powe": None}, {"error": "NONE"}),
        ({"powe": 27, "freq": 869.525, "datr": "SF12BW125"}, {"error": "NONE"}),
        ({"modu": "FSK", "datr": 50_000, "codr": None}, {"error": "NONE"}),
    ],
)
async def test_frequency_and_power_are_held_against_what_the_board_can_do(
    change: dict[str, Any], answer: dict[str, Any]
) -> None:
    async with field() as here:
        assert await here.answered(here.txpk(**change)) == answer
        assert here.air.account.downlinks == ("TX_FREQ" not in answer.values())


async def test_gps_time_can_be_used_when_there_is_a_receiver() -> None:
    async with field() as here:
        tmms = round(gps_seconds(here.clock.time() + 1.5) * 1000)
        assert (await here.answered(here.txpk(tmst=None, tmms=tmms)))["error"] == "NONE"
    async with field(gps=False) as here:
        assert (await here.answered(here.txpk(tmst=None, tmms=tmms)))["error"] == "GPS_UNLOCKED"


async def test_immediate_downlinks_queue_up_behind_each_other() -> None:
    async with field() as here:
        for number in range(1, 4):
            assert (await here.answered(here.txpk(tmst=None, imme=True), number))["error"] == "NONE"
        assert here.air.account.downlinks == 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"{}",
        b'{"txpk":{}}',
        b'{"txpk":{"imme":true}}',
        b"\xff" * 40,
        b"[" * 3000,
        b" " * 5000,
    ],
)
async def test_a_malformed_downlink_is_dropped_without_an_answer_as_the_reference_does(body: bytes) -> None:
    async with field() as here:
        here.server.respond(body)
        await until(lambda: here.forwarder.tally.malformed == 1)
        assert await here.answered(here.txpk(), 1) == {"error": "NONE"}


@pytest.mark.parametrize(
    "change", [{"datr": "SF13BW125"}, {"datr": "SF7"}, {"data": "!!!"}, {"size": 3}, {"tmst": None}]
)
async def test_a_downlink_that_no_board_could_send_is_dropped(change: dict[str, Any]) -> None:
    async with field() as here:
        here.server.respond(here.txpk(**change))
        await until(lambda: here.forwarder.tally.malformed == 1)
        assert not here.server.of(TX_ACK)
        assert here.air.account.downlinks == 0


async def test_datagrams_of_another_kind_or_version_are_ignored() -> None:
    async with field() as here:
        for datagram in (b"", b"\x02", b"\x01\x00\x00\x03{}", b"\x02\x00\x00\x09", b"\x02\x00\x00\x01"):
            here.server.socket.sendto(datagram, here.server.puller())
        assert await here.answered(here.txpk()) == {"error": "NONE"}
        assert here.forwarder.tally.malformed == 0


@pytest.mark.parametrize("forward", [False, True])
async def test_damaged_frames_are_counted_and_handed_on_only_when_asked(forward: bool) -> None:
    async with field(forward_damaged=forward) as here:
        for adapter in (ADAPTER, "70b3d57ed0061001"):
            here.uplink(adapter=adapter)
        await until(lambda: here.forwarder.tally.received == 2, here.clock)
        assert here.forwarder.tally.intact == 0
        if forward:
            await until(lambda: len(here.server.rxpk()) == 2, here.clock)
            assert {received["stat"] for received in here.server.rxpk()} == {-1}


async def test_a_server_that_is_not_there_yet_is_found_when_it_comes() -> None:
    reserved = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    reserved.bind(("127.0.0.1", 0))
    address = reserved.getsockname()
    reserved.close()
    clock = ManualClock()
    forwarder = Forwarder(GatewayRadio(EUI, clock), address, stat_interval_s=600.0)
    task = asyncio.ensure_future(forwarder.run())
    for _ in range(5):
        await clock.advance(5.0)
        await asyncio.sleep(0.01)  # the refusals come in over the real socket
    assert not task.done()
    late = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    late.bind(address)
    late.settimeout(60)
    await clock.advance(5.0)
    datagram = await asyncio.to_thread(late.recv, 100)
    assert datagram[3] == PULL_DATA
    task.cancel()
    late.close()


async def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(ForwarderError, match=r"no UDP socket to 256\.0\.0\.1"):
        await Forwarder(GatewayRadio(EUI, ManualClock()), ("256.0.0.1", 1700)).run()
