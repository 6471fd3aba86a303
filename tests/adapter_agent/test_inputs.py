"""Meters are read for as long as the device runs, whatever happens to their lines."""

import asyncio
from contextlib import asynccontextmanager

from adapter_agent.config import Input
from adapter_agent.inputs import RECENT, Decoding, read_inputs
from edge.clock import ManualClock
from tests.adapter_agent.meter.build import energy, telegram, values
from tests.adapter_agent.meter_line import MeterLine

IMPORT = "0100010800ff"
DEADLINE_S = 30.0


class Reader:
    def __init__(self, *devices) -> None:
        self.clock = ManualClock()
        self.seen: list[tuple[int, str]] = []
        self.inputs = [Input(device=str(device), number=number) for number, device in enumerate(devices)]
        self.decoding = Decoding({one.number: one.interface for one in self.inputs}, self._take)

    def _take(self, input_, reading) -> None:
        self.seen.append((input_, values(reading)["1-0:1.8.0*255"]))

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(read_inputs(self.inputs, self.clock, self.decoding.feed))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, count: int) -> list[tuple[int, str]]:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.seen) < count:
                await self.clock.advance(1)
                await asyncio.sleep(0.002)
        return self.seen


async def test_several_meters_are_told_apart(tmp_path):
    for number in (0, 1):
        (tmp_path / str(number)).write_bytes(telegram(energy(IMPORT, 10 + number)))
    reader = Reader(tmp_path / "0", tmp_path / "1")
    async with reader.running():
        assert sorted(await reader.until(2)) == [(0, "1.0"), (1, "1.1")]


async def test_a_growing_file_is_followed_and_one_begun_anew_is_read_again(tmp_path):
    file = tmp_path / "meter"
    file.write_bytes(telegram(energy(IMPORT, 1)))
    reader = Reader(file)
    async with reader.running():
        await reader.until(1)
        with file.open("ab") as more:
            more.write(telegram(energy(IMPORT, 2)))
        await reader.until(2)
        file.write_bytes(telegram(energy(IMPORT, 3)))
        assert await reader.until(3) == [(0, "0.1"), (0, "0.2"), (0, "0.3")]


async def test_the_history_in_a_long_file_is_not_read_as_the_present(tmp_path):
    file = tmp_path / "meter"
    one = telegram(energy(IMPORT, 1))
    file.write_bytes(one * (10 * RECENT // len(one)) + telegram(energy(IMPORT, 2)))
    reader = Reader(file)
    async with reader.running():
        while reader.seen[-1:] != [(0, "0.2")]:
            await reader.until(len(reader.seen) + 1)
    assert len(reader.seen) <= RECENT // len(one) + 1


async def test_a_line_that_breaks_is_opened_again(tmp_path, caplog):
    device = tmp_path / "meter"
    reader = Reader(device)
    async with reader.running():
        await reader.clock.advance(100)
        assert caplog.text.count("cannot be opened") == 1
        for number in (1, 2):
            line = MeterLine()
            device.unlink(missing_ok=True)
            device.symlink_to(line.device)
            for _ in range(200):
                if len(reader.seen) == number:
                    break
                line.say(telegram(energy(IMPORT, number)))
                await reader.clock.advance(1)
            line.close()
            await reader.clock.advance(1)
    assert [value for _, value in reader.seen] == ["0.1", "0.2"]


async def test_what_was_refused_is_counted(tmp_path):
    file = tmp_path / "meter"
    spoilt = bytearray(telegram(energy(IMPORT, 1)))
    spoilt[30] ^= 1
    file.write_bytes(bytes(spoilt) + telegram(energy(IMPORT, 2)))
    reader = Reader(file)
    async with reader.running():
        await reader.until(1)
    assert reader.decoding.refused == {"crc": 1}
    assert reader.decoding.readings == 1
