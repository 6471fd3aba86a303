"""A receive window that belongs to no uplink: the radio listens at a moment when it has nothing else to do."""

import asyncio
from collections.abc import Awaitable, Callable

from adapter_agent.radio.base import Ear
from adapter_agent.radio.phy import Listener, Phy, PhyError
from adapter_agent.waiting import done_by, sleep_until
from edge.clock import Clock


async def listen(
    ear: Ear, phy: Phy, air: asyncio.Lock, clock: Clock, available: Callable[[], Awaitable[None]]
) -> tuple[float, bytes] | None:
    """As `AdapterRadio.listen`; `air` is held while the window is open. `available` as for EndDevice."""
    if not isinstance(phy, Listener):
        raise PhyError("this radio listens after its own uplinks only; it does not hear a beacon")
    if not await done_by(available(), clock, ear.at + ear.seconds):
        raise PhyError("the radio is not ready; this beacon is not heard")
    await sleep_until(clock, ear.at)
    if air.locked():
        raise PhyError("the radio is in use; this beacon is not heard")
    async with air:
        asked = clock.monotonic()
        heard = await phy.listen(
            freq_hz=ear.frequency_hz, dr=ear.data_rate, seconds=max(0.0, ear.at + ear.seconds - asked)
        )
    return None if heard is None else (asked + heard.after_s, heard.frame)
