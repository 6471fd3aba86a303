"""The loop of simulated houses: hours cost nothing, order is kept, and threads and sockets are waited for."""

import asyncio
import socket
import time
from pathlib import Path

import pytest

from edge.database import Database
from tests.support.virtual_loop import START, VirtualClock, virtually


@pytest.mark.timeout(60)  # far less than the day
def test_a_day_passes_at_once_and_in_order():
    async def work(clock: VirtualClock) -> list[str]:
        said: list[str] = []

        async def say(after_s: float, word: str) -> None:
            await clock.sleep(after_s)
            said.append(f"{word} at {clock.monotonic():.0f}")

        await asyncio.gather(say(86_400.0, "late"), say(60.0, "early"), say(0.0, "now"))
        return said

    assert virtually(work) == ["now at 0", "early at 60", "late at 86400"]


def test_no_time_passes_while_a_thread_or_a_database_works(tmp_path: Path):
    async def work(clock: VirtualClock) -> tuple[float, float]:
        ticking = asyncio.ensure_future(clock.sleep(3600.0))
        await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.02)
        after_thread = clock.monotonic()
        database = Database(tmp_path / "a.db", ["CREATE TABLE a (b)"])
        database.open()
        await database.run(lambda connection: connection.execute("INSERT INTO a VALUES (1)").rowcount)
        database.close()
        ticking.cancel()
        return after_thread, clock.monotonic()

    assert virtually(work) == (0.0, 0.0)


def test_a_datagram_on_its_way_arrives_before_the_next_timer():
    async def work(clock: VirtualClock) -> float:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        here.setblocking(False)
        arrived: list[float] = []
        asyncio.get_running_loop().add_reader(here, lambda: arrived.append(clock.monotonic() + len(here.recv(9))))
        await clock.sleep(5.0)
        there.send(b"")
        there.send(b"x")
        await clock.sleep(3600.0)
        asyncio.get_running_loop().remove_reader(here)
        here.close()
        there.close()
        return max(arrived)

    assert virtually(work) == 6.0


def test_a_clock_beside_another_one_can_be_set_wrong():
    async def work(clock: VirtualClock) -> tuple[float, float]:
        other = clock.beside()
        other.set(-3600.0)
        await clock.sleep(10.0)
        return clock.time(), other.time()

    assert virtually(work) == (START + 10.0, START + 10.0 - 3600.0)
