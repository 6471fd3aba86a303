"""Looks after the concentrator's own clock: what happens to it becomes an event, and leap seconds are kept."""

import logging
from collections.abc import Callable
from typing import Final

from concentrator_agent import store
from concentrator_agent.events import Events
from concentrator_agent.server.timekeeping import Notice, Timekeeper
from edge.clock import Clock
from edge.database import Database
from edge.outbox import Entry

log = logging.getLogger(__name__)

LEAPS: Final = "leaps"
GATEWAY_EVERY_S: Final = 3600.0
_GOOD: Final = frozenset({"settled", "agreed", "synchronised"})


class ClockWatch:
    """`note` takes the events."""

    def __init__(
        self, clock: Clock, quality: str, database: Database, events: Events, note: Callable[[Entry | None], None]
    ) -> None:
        self._database = database
        self._events = events
        self._note = note
        self._kept = store.setting(database.read, LEAPS) or b""
        self.keeper = Timekeeper(clock, quality, leaps=self._kept)

    def look(self) -> None:
        """Once a second."""
        self._tell(self.keeper.look())

    async def refresh(self) -> None:
        """Every ten seconds. Raises StorageError."""
        self._tell(self.keeper.refresh())
        leaps = self.keeper.leaps()
        if leaps != self._kept:
            await self._database.run(lambda connection: store.put_setting(connection, LEAPS, leaps))
            self._kept = leaps

    def suspicious_gateway(self, gateway: str, offset_s: float) -> None:
        """A gateway gives a time that is not believed."""
        self._note(
            self._events.rated(
                "clock",
                reason="gateway_off",
                key=(gateway,),
                every_s=GATEWAY_EVERY_S,
                gw=gateway,
                offset_ms=round(offset_s * 1000),
            )
        )

    def _tell(self, notices: list[Notice]) -> None:
        for reason, detail in notices:
            log.log(logging.INFO if reason in _GOOD else logging.WARNING, "clock: %s", reason, extra=detail)
            self._note(self._events.make("clock", reason=reason, **detail))
