"""A gateway's counter counts microseconds, wraps, and can be turned back into instants."""

import pytest

from adapter_agent.simulation.gateway import COUNTER_RANGE, GatewayRadio, receive_channels
from adapter_agent.simulation.physics import Signal
from adapter_agent.simulation.reception import Fate
from edge.clock import ManualClock
from meterwire.lorawan.region import EU868


async def test_the_counter_begins_where_it_is_told_and_wraps() -> None:
    clock = ManualClock()
    await clock.advance(100.0)
    radio = GatewayRadio("00" * 8, clock, counter=COUNTER_RANGE - 2_000_000)
    assert radio.counter() == COUNTER_RANGE - 2_000_000
    await clock.advance(2.5)
    assert radio.counter() == 500_000
    await clock.advance(COUNTER_RANGE / 1e6)
    assert radio.counter() == 500_000


@pytest.mark.parametrize("counter", [0, 12_345, COUNTER_RANGE - 1, COUNTER_RANGE // 2])
async def test_an_instant_becomes_a_count_and_back(counter: int) -> None:
    clock = ManualClock()
    radio = GatewayRadio("00" * 8, clock, counter=counter)
    await clock.advance(4000.0)
    for ahead in (-1000.0, -0.5, 0.0, 0.25, 1.0, 500.0):
        instant = clock.monotonic() + ahead
        assert radio.instant(radio.counter(instant)) == pytest.approx(instant, abs=2e-6)


async def test_the_wall_clock_may_jump_without_moving_the_counter() -> None:
    clock = ManualClock()
    radio = GatewayRadio("00" * 8, clock)
    await clock.advance(1.0)
    clock.jump(3600.0)
    assert radio.counter() == 1_000_000
    assert radio.unix(clock.monotonic()) == clock.time()


def test_the_channels_are_the_eight_of_the_plan_and_the_fast_one() -> None:
    channels = receive_channels()
    assert [channel.frequency_hz for channel in channels[:8]] == [
        868_100_000, 868_300_000, 868_500_000, 867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000,
    ]  # fmt: skip
    assert all(channel.spreading_factor is None for channel in channels[:8])
    assert (channels[8].spreading_factor, channels[8].bandwidth_hz) == (7, 250_000)


def test_a_collided_frame_is_handed_on_damaged() -> None:
    radio = GatewayRadio("00" * 8, ManualClock())
    heard = []
    radio.listen(heard.append)
    both = [Signal(0.0, 0.1, 868_100_000, 7, 125_000, -80.0) for _ in range(2)]
    for signal in both:
        radio.receiver.begin(signal)
    assert [radio.hear(b"\x40" + bytes(11), EU868.data_rate(5), signal) for signal in both] == [Fate.COLLIDED] * 2
    assert all(not reception.intact and reception.frame != b"\x40" + bytes(11) for reception in heard)
