"""Lets simulated time pass until something has happened."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from edge.clock import ManualClock

T = TypeVar("T")
DEADLINE_S = 60.0  # of real time, for sockets


async def passing(clock: ManualClock, work: Coroutine[Any, Any, T], step: float = 0.5, most: float = 600.0) -> T:
    """The result of `work`, simulated time passing meanwhile in steps of `step` seconds."""
    task = asyncio.ensure_future(work)
    passed = 0.0
    while not task.done():
        assert passed < most, f"nothing after {most} simulated seconds"
        await clock.advance(step)
        passed += step
    return task.result()


async def until(condition: Callable[[], bool], clock: ManualClock | None = None) -> None:
    """Wait for something that arrives through a real socket; `clock`, where given, moves on a little each turn."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            if clock is not None:
                await clock.advance(0.01)
            await asyncio.sleep(0.002)


async def within_deadline(work: Awaitable[T]) -> T:
    async with asyncio.timeout(DEADLINE_S):
        return await work
