"""A clock of our own: slow to slew, quick to step, and deaf to whoever sets the host."""

from itertools import pairwise

import pytest

from edge.clock import ManualClock
from edge.steered_clock import MAX_SLEW, SteeredClock

T = 1_767_225_600.0


@pytest.fixture
def host() -> ManualClock:
    return ManualClock(T)


async def test_it_starts_with_the_hosts_time_and_then_goes_its_own_way(host: ManualClock) -> None:
    clock = SteeredClock(host)
    assert clock.time() == T
    host.jump(3600)
    await host.advance(10)
    assert clock.time() == T + 10
    assert clock.monotonic() == host.monotonic()


async def test_an_error_is_slewed_never_faster_than_allowed(host: ManualClock) -> None:
    clock = SteeredClock(host)
    clock.steer(T + 0.1, 0.0)
    times = []
    for _ in range(300):
        times.append(clock.time() - host.monotonic() - T)
        await host.advance(1)
    steps = [after - before for before, after in pairwise(times)]
    assert max(steps) == pytest.approx(MAX_SLEW, abs=1e-6)
    assert times[100] == pytest.approx(0.05, abs=1e-6)
    assert clock.to_go == pytest.approx(0.0, abs=1e-6)
    assert times[-1] == pytest.approx(0.1, abs=1e-6)


async def test_a_rate_goes_on_while_nobody_steers(host: ManualClock) -> None:
    clock = SteeredClock(host)
    clock.steer(T, 20e-6)
    await host.advance(1000)
    assert clock.time() == pytest.approx(T + 1000.02, abs=1e-6)
    clock.steer(clock.offset(1000.0), 0.0)
    await host.advance(1000)
    assert clock.time() == pytest.approx(T + 2000.02, abs=1e-6)


async def test_a_step_is_at_once_and_ends_a_slew(host: ManualClock) -> None:
    clock = SteeredClock(host)
    clock.steer(T + 5.0, 0.0)
    await host.advance(10)
    clock.step(T + 3600.0)
    assert clock.time() == T + 3610.0
    assert clock.to_go == 0.0
    await host.advance(10)
    assert clock.time() == T + 3620.0


async def test_a_new_aim_takes_the_place_of_the_old_one(host: ManualClock) -> None:
    clock = SteeredClock(host)
    clock.steer(T + 0.1, 0.0)
    await host.advance(10)
    clock.steer(T, 0.0)
    await host.advance(20)
    assert clock.time() == pytest.approx(T + 30, abs=1e-6)


async def test_sleep_is_the_hosts(host: ManualClock) -> None:
    clock = SteeredClock(host)
    await clock.sleep(0)
