"""The clock that moves only when told: it goes on when everybody sleeps, and waits for nobody who never does."""

import asyncio
import socket

from edge.clock import ManualClock


async def test_sleepers_wake_in_the_order_of_their_time(clock: ManualClock) -> None:
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, *naps: float) -> None:
        for seconds in naps:
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic()))

    tasks = [asyncio.ensure_future(sleep("late", 3.0)), asyncio.ensure_future(sleep("often", 1.0, 1.0, 1.5))]
    await clock.advance(10.0)
    assert woken == [("often", 1.0), ("often", 2.0), ("late", 3.0), ("often", 3.5)]
    assert all(task.done() for task in tasks)


async def test_time_stands_still_while_anybody_has_something_to_do(clock: ManualClock) -> None:
    seen: list[float] = []

    async def work() -> None:
        await clock.sleep(1.0)
        for _ in range(15):
            await asyncio.sleep(0)
        seen.append(clock.monotonic())

    task = asyncio.ensure_future(work())
    await clock.advance(5.0)
    assert seen == [1.0]
    await task


async def test_what_one_side_of_a_socket_has_sent_is_taken_by_the_other_before_time_goes_on(clock: ManualClock) -> None:
    near, far = socket.socketpair()
    seen: list[float] = []

    def hear() -> None:
        far.recv(16)
        seen.append(clock.monotonic())

    async def send() -> None:
        await clock.sleep(1.0)
        near.send(b"x")

    asyncio.get_running_loop().add_reader(far, hear)
    task = asyncio.ensure_future(send())
    await clock.advance(5.0)
    assert seen == [1.0]
    asyncio.get_running_loop().remove_reader(far)
    await task
    near.close()
    far.close()


async def test_who_never_sleeps_does_not_hold_it_up(clock: ManualClock) -> None:
    async def turn() -> None:
        while True:
            await asyncio.sleep(0)

    task = asyncio.ensure_future(turn())
    await clock.advance(5.0)
    assert clock.monotonic() == 5.0
    task.cancel()


async def test_a_sleep_that_was_given_up_wakes_nobody_and_the_others_in_time(clock: ManualClock) -> None:
    given_up, kept = asyncio.ensure_future(clock.sleep(1.0)), asyncio.ensure_future(clock.sleep(2.0))
    await clock.advance(0.5)
    given_up.cancel()
    await clock.advance(1.0)
    assert (clock.monotonic(), given_up.cancelled(), kept.done()) == (1.5, True, False)
    await clock.advance(0.5)
    assert kept.done()
