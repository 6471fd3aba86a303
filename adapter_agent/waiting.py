"""Waiting for an event or for a time, whichever comes first, on the daemon's own clock.

A wait ends at a moment and not after a duration: what a busy machine lets pass before it begins does not prolong it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from edge.clock import Clock

T = TypeVar("T")

STEP_S: Final = 100.0  # longest wait without a sign of life


async def wait_for(event: asyncio.Event, clock: Clock, seconds: float) -> bool:
    """Whether `event` was set within `seconds`."""
    return await wait_for_any([event], clock, seconds)


async def wait_for_any(events: Sequence[asyncio.Event], clock: Clock, seconds: float) -> bool:
    """Whether one of `events` was set within `seconds`."""
    until = clock.monotonic() + seconds
    if any(event.is_set() for event in events):
        return True
    waiting = {asyncio.ensure_future(event.wait()) for event in events}
    waiting_or_not = waiting | {asyncio.ensure_future(sleep_until(clock, until))}
    try:
        await asyncio.wait(waiting_or_not, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting_or_not:
            task.cancel()
    return any(event.is_set() for event in events)


async def sleep_until(clock: Clock, monotonic_s: float) -> None:
    """Until the clock's monotonic time; a moment that is over only yields."""
    await clock.sleep(monotonic_s - clock.monotonic())


async def done_by(work: Awaitable[None], clock: Clock, monotonic_s: float) -> bool:
    """Whether `work` ends before that moment; then it is given up."""
    waiting = asyncio.ensure_future(work), asyncio.ensure_future(sleep_until(clock, monotonic_s))
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if waiting[0].done():
            waiting[0].result()
        return waiting[0].done()
    finally:
        for task in waiting:
            task.cancel()


async def patiently(work: Coroutine[Any, Any, T], clock: Clock, progress: Callable[[], None]) -> T:
    """Await something that may take for ever, such as a network in reach, and say meanwhile that all is well."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            progress()
            sleeping = asyncio.ensure_future(clock.sleep(STEP_S))
            try:
                await asyncio.wait({task, sleeping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleeping.cancel()
        return task.result()
    finally:
        task.cancel()
