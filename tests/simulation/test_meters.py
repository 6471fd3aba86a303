"""Meters talk at their pace, at the speed of their line, and repeat captures faithfully."""

import asyncio
import contextlib

import pytest

from adapter_agent.meter.sml import SmlMeter
from adapter_agent.simulation.load import Load
from adapter_agent.simulation.measurement import Mains
from adapter_agent.simulation.meters import CHUNK, CapturedMeter, SimulatedMeter, speak, split
from adapter_agent.simulation.shapes import SHAPES
from adapter_agent.simulation.sml_encoder import START
from edge.clock import ManualClock, ScaledClock
from meterwire.ids import MeterId


class Notes:
    """A line that notes what came when."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.heard: list[tuple[float, bytes]] = []

    def write(self, data: bytes) -> None:
        self.heard.append((self.clock.monotonic(), data))


def meter(name: str = "iskra-mt691", period_s: float | None = None) -> SimulatedMeter:
    load = Load(3, yearly_kwh=3000)
    return SimulatedMeter(SHAPES[name], MeterId("1", "ISK", 0, 123), Mains(load), period_s=period_s)


async def listen(speaker: SimulatedMeter | CapturedMeter, seconds: float, clock: ManualClock) -> Notes:
    notes = Notes(clock)
    task = asyncio.ensure_future(speak(speaker, notes, clock))
    await clock.advance(seconds)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return notes


async def test_a_telegram_comes_every_period_at_9600_baud() -> None:
    clock = ManualClock()
    notes = await listen(meter(), 7.0, clock)
    starts = [at for at, data in notes.heard if data.startswith(START)]
    assert starts == pytest.approx([0.0, 2.0, 4.0, 6.0])
    first = [(at, data) for at, data in notes.heard if at < 2.0]
    assert all(len(data) <= CHUNK for _, data in first)
    octets = sum(len(data) for _, data in first[:-1])
    assert first[-1][0] == pytest.approx(octets * 10 / 9600)


async def test_what_is_heard_over_time_decodes_to_rising_energy() -> None:
    clock = ManualClock()
    decoder = SmlMeter()
    readings = [reading for _, data in (await listen(meter(), 600.0, clock)).heard for reading in decoder.feed(data)]
    energies = [reading.registers["1-0:1.8.0*255"].value for reading in readings]
    assert len(energies) == 300
    assert energies == sorted(energies, key=lambda value: value or 0)
    assert energies[-1] != energies[0]


async def test_a_telegram_longer_than_its_period_skips_a_beat() -> None:
    notes = await listen(meter(period_s=0.1), 2.0, ManualClock())
    starts = [at for at, data in notes.heard if data.startswith(START)]
    assert starts == pytest.approx([0.0, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8])


async def test_a_jump_of_the_wall_clock_does_not_stop_a_meter() -> None:
    clock = ManualClock()
    notes = Notes(clock)
    task = asyncio.ensure_future(speak(meter(), notes, clock))
    for jump in (-3600.0, 7200.0, 0.0):
        await clock.advance(4.0)
        clock.jump(jump)
    task.cancel()
    assert len([data for _, data in notes.heard if data.startswith(START)]) == 7


async def test_a_scaled_clock_makes_a_meter_talk_faster() -> None:
    clock = ScaledClock(500.0)
    heard: list[bytes] = []

    class Line:
        def write(self, data: bytes) -> None:
            heard.append(data)

    task = asyncio.ensure_future(speak(meter(), Line(), clock))
    async with asyncio.timeout(10):
        while sum(data.startswith(START) for data in heard) < 5:
            await asyncio.sleep(0.005)
    task.cancel()
    assert clock.monotonic() >= 8.0


async def test_a_capture_is_repeated_telegram_by_telegram_for_ever() -> None:
    pieces = [meter().telegram(1_760_000_000.0 + second) for second in range(3)]
    capture = CapturedMeter(b"tail of another one" + b"".join(pieces), period_s=2.0)
    notes = await listen(capture, 13.9, ManualClock(start=1_767_225_600.0))
    heard = b"".join(data for _, data in notes.heard)
    assert split(heard) == [*pieces, *pieces, pieces[0]]
    # A restarted replay goes on where the time stands.
    assert capture.telegram(1_767_225_602.0) == pieces[1]


def test_a_capture_without_a_telegram_is_refused() -> None:
    with pytest.raises(ValueError, match="start sequence"):
        CapturedMeter(b"/EMH5---\r\n!")
