"""The time of a real NTP server, and what the client makes of closed interfaces, silence, lies and refusals."""

import asyncio
import random
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from concentrator_agent.modes import Gate, GateSettings, Interface, Mode, Side
from concentrator_agent.timesource.discipline import Discipline
from concentrator_agent.timesource.sntp import BURST_S, DENIED_S, MISSED, SntpClient
from edge.clock import SystemClock
from edge.steered_clock import SteeredClock
from tests.support.chrony import chronyd

OPEN = GateSettings(Mode.SMGW)


class Behind(SystemClock):
    """A machine that lost its time."""

    def time(self) -> float:
        return super().time() - 7200.0


class Bench:
    def __init__(self, port: int, settings: GateSettings = OPEN) -> None:
        self.gate = Gate(settings)
        self.clock = SteeredClock(Behind())
        self.discipline = Discipline(self.clock)
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.set: list[str] = []
        self.client = SntpClient(
            ("127.0.0.1", port),
            gate=self.gate,
            clock=self.clock,
            discipline=self.discipline,
            poll_s=64.0,
            entropy=random.Random(1).randbytes,
            note=lambda reason, **detail: self.notes.append((reason, detail)),
            on_set=self.set.append,
        )


@pytest.fixture(scope="module")
def ntp() -> Iterator[int]:
    with chronyd("local stratum 3") as port:
        yield port


async def test_a_real_server_sets_a_clock_that_was_hours_off(ntp: int) -> None:
    bench = Bench(ntp)
    assert await bench.client.ask() == BURST_S
    assert abs(bench.clock.time() - time.time()) <= bench.discipline.uncertainty() < 0.05
    assert bench.discipline.synchronised
    assert (bench.set, bench.notes) == (["first"], [])
    assert [await bench.client.ask() for _ in range(3)] == [BURST_S, BURST_S, 64.0]


async def test_a_real_server_that_is_not_synchronised_is_not_believed() -> None:
    with chronyd() as port:
        bench = Bench(port)
        for _ in range(MISSED):
            await bench.client.ask()
    assert not bench.discipline.ever
    assert bench.notes == [("holdover", {"cause": "format", "uncertainty_ms": None})]


async def test_while_the_han_is_closed_nothing_is_asked_and_the_clock_holds_over(ntp: int) -> None:
    bench = Bench(ntp, GateSettings(Mode.SMGW, exclusive=True, han_outside=True))
    bench.gate.turn(Side.THIRD)
    await bench.client.ask()
    bench.gate.turn(Side.LOCAL)
    assert not bench.gate.is_open(Interface.HAN)
    assert [await bench.client.ask() for _ in range(MISSED)] == [64.0] * MISSED
    ((reason, detail),) = bench.notes
    assert (reason, detail["cause"]) == ("holdover", "closed")
    bench.gate.turn(Side.THIRD)
    await bench.client.ask()
    assert bench.notes[-1][0] == "source_back"


async def test_in_stand_alone_mode_nothing_is_asked(ntp: int) -> None:
    bench = Bench(ntp, GateSettings(Mode.STAND_ALONE))
    await bench.client.ask()
    assert not bench.discipline.ever


async def test_where_nobody_listens_the_clock_holds_over() -> None:
    bench = Bench(1)
    for _ in range(MISSED + 2):
        await bench.client.ask()
    assert [detail["cause"] for _, detail in bench.notes] == ["unreachable"]


class Server(asyncio.DatagramProtocol):
    """A server that says what a test wants. `answer` gets the question and gives datagrams."""

    def __init__(self, answer: Callable[[bytes], list[bytes]]) -> None:
        self.answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for datagram in self.answer(data):
            self.transport.sendto(datagram, addr)


@asynccontextmanager
async def serving(answer: Callable[[bytes], list[bytes]]) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Server(answer), local_addr=("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


def packet(asked: bytes, unix: float, stratum: int = 1, reference: bytes = b"GPS\0", dispersion: float = 0.0) -> bytes:
    distance = struct.pack(">II", 0, round(dispersion * 65_536))
    return bytes((0x24, stratum, 6, 0xEC)) + distance + reference + bytes(8) + asked[40:] + stamps(unix, unix)


def stamps(received: float, sent: float) -> bytes:
    return struct.pack(">QQ", *(round((unix + 2_208_988_800) * 2**32) for unix in (received, sent)))


async def test_what_others_send_is_left_alone() -> None:
    now = time.time()

    def answer(asked: bytes) -> list[bytes]:
        forged = packet(bytes(40) + b"forgery!", now + 500)
        return [b"", b"noise", forged, bytes(48), packet(asked, time.time())]

    async with serving(answer) as port:
        bench = Bench(port)
        await bench.client.ask()
    assert abs(bench.clock.time() - time.time()) < 0.1


async def test_a_flood_of_noise_holds_nothing_else_up() -> None:
    """Datagrams that wait are read at once: in between others must have their turn, and the time limit too."""
    flooded = asyncio.Event()

    def answer(asked: bytes) -> list[bytes]:
        flooded.set()
        return [*[b"noise"] * 100, packet(asked, time.time())]

    turns = 0

    async def somebody_else() -> None:
        nonlocal turns
        await flooded.wait()
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with serving(answer) as port:
        bench = Bench(port)
        other = asyncio.ensure_future(somebody_else())
        await bench.client.ask()
        other.cancel()
    assert bench.discipline.ever
    assert turns >= 100


async def test_a_server_that_lies_later_moves_nothing_and_is_told() -> None:
    wrong = [0.0]
    async with serving(lambda asked: [packet(asked, time.time() + wrong[0])]) as port:
        bench = Bench(port)
        await bench.client.ask()
        for wrong[0] in (5.0, 4000.0):
            await bench.client.ask()
    assert abs(bench.clock.time() - time.time()) < 0.1
    assert [(reason, detail["refused"]) for reason, detail in bench.notes] == [
        ("source_off", False),
        ("source_off", True),
    ]
    assert bench.notes[0][1]["offset_ms"] == pytest.approx(5000, abs=100)


@pytest.mark.parametrize(
    ("word", "pauses"),
    [
        (b"DENY", [DENIED_S, DENIED_S]),
        (b"RATE", [2 * BURST_S, 4 * BURST_S]),
        (b"INIT", [BURST_S, BURST_S]),  # it starts, after a power cut as we do
    ],
)
async def test_a_server_that_refuses_is_asked_more_rarely(word: bytes, pauses: list[float]) -> None:
    async with serving(lambda asked: [packet(asked, time.time(), 0, word)]) as port:
        bench = Bench(port)
        assert [await bench.client.ask() for _ in pauses] == pauses


async def test_a_server_that_refuses_for_good_is_told_of_at_once() -> None:
    async with serving(lambda asked: [packet(asked, time.time(), 0, b"DENY")]) as port:
        bench = Bench(port)
        for _ in range(MISSED + 1):
            await bench.client.ask()
    assert [detail["cause"] for _, detail in bench.notes] == ["denied"]


async def test_a_server_that_took_longer_than_its_answer_was_on_its_way_is_not_believed() -> None:
    """The difference would count as a way of no length, and the middle of it as the time."""
    async with serving(lambda asked: [packet(asked, time.time())[:32] + stamps(time.time(), time.time() + 60)]) as port:
        bench = Bench(port)
        await bench.client.ask()
    assert not bench.discipline.ever


async def test_a_server_that_may_be_far_off_itself_is_not_used() -> None:
    async with serving(lambda asked: [packet(asked, time.time(), dispersion=2.0)]) as port:
        bench = Bench(port)
        for _ in range(MISSED):
            await bench.client.ask()
    assert [detail["cause"] for _, detail in bench.notes] == ["distance"]


async def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("concentrator_agent.timesource.sntp.TIMEOUT_S", 0.05)
    async with serving(lambda asked: []) as port:
        bench = Bench(port)
        assert await bench.client.ask() == BURST_S
    assert not bench.discipline.ever
