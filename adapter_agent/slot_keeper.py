"""Keeps the slot: whatever else the adapter is about, its regular telegram is made and sent when the slot begins."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Final

from adapter_agent.own_slot import LEAD_S, OwnSlot
from adapter_agent.radio.base import Planned
from adapter_agent.telegrams import Telegrams
from adapter_agent.waiting import STEP_S, patiently, wait_for
from edge.clock import Clock
from meterwire.errors import MeterspanError

log = logging.getLogger(__name__)

LEAST_LEAD_S: Final = 0.05  # a telegram that is begun later is not in time


class SlotKeeper:
    """`missed` counts the slots that were not used, by reason: `late` (the machine was busy), or the code of the error
    that kept the telegram. A slot for which no meter had anything to say is not missed.
    """

    def __init__(
        self,
        slot: OwnSlot,
        telegrams: Telegrams,
        clock: Clock,
        *,
        used: Callable[[], None],
        progress: Callable[[], None],
    ) -> None:
        """`used` is called after each slot, used or missed."""
        self.missed: Counter[str] = Counter()
        self._slot, self._telegrams, self._clock = slot, telegrams, clock
        self._used, self._progress = used, progress
        self._changed = asyncio.Event()
        self._behind = 0.0  # each use of the slot is tried once, whatever becomes of it

    def configured(self) -> None:
        """There may be another slot now."""
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            planned = await self._approach()
            if planned is not None:
                await self._keep(planned)

    async def _approach(self) -> Planned | None:
        """Wait for the lead of the next slot; None while there is none to be trusted, or it was changed meanwhile."""
        self._progress()
        self._changed.clear()
        now = self._clock.monotonic()
        planned = self._slot.next(max(now + LEAD_S, self._behind))
        wait = STEP_S if planned is None else planned.at - LEAD_S - now
        if await wait_for(self._changed, self._clock, min(wait, STEP_S)) or planned is None or wait > STEP_S:
            return None
        corrected = self._slot.next(planned.at - LEAD_S)
        near = corrected is not None and corrected.at - self._clock.monotonic() <= 2 * LEAD_S
        return corrected if near else None

    async def _keep(self, planned: Planned) -> None:
        late = self._clock.monotonic() > planned.at - LEAST_LEAD_S
        self._behind = planned.at + LEAD_S
        try:
            work = None if late else self._telegrams.send_in_slot(planned)
            reason = "late" if work is None else await patiently(work, self._clock, self._progress)
        except MeterspanError as error:
            log.error("no telegram was made: %s", error, extra={"code": error.code})
            reason = error.code
        if reason is not None:
            self.missed[reason] += 1
            log.warning("the slot was missed: %s", reason, extra={"reason": reason, "so_far": self.missed[reason]})
        self._used()
