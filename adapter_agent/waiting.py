"""Waiting for an event or for a time, whichever comes first, on the daemon's own clock."""

import asyncio
from collections.abc import Sequence

from edge.clock import Clock


async def wait_for(event: asyncio.Event, clock: Clock, seconds: float) -> bool:
    """Whether `event` was set within `seconds`."""
    return await wait_for_any([event], clock, seconds)


async def wait_for_any(events: Sequence[asyncio.Event], clock: Clock, seconds: float) -> bool:
    """Whether one of `events` was set within `seconds`."""
    if any(event.is_set() for event in events):
        return True
    waiting = {asyncio.ensure_future(event.wait()) for event in events}
    waiting_or_not = waiting | {asyncio.ensure_future(clock.sleep(seconds))}
    try:
        await asyncio.wait(waiting_or_not, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting_or_not:
            task.cancel()
    return any(event.is_set() for event in events)
