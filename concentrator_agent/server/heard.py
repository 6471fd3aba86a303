"""Strangers: devices that are heard but are not in the table, in a bounded list."""

from collections import OrderedDict
from typing import Final

import msgspec

from concentrator_agent.events import Events, link
from concentrator_agent.radio.base import Reception
from edge.outbox import Entry

MAX_STRANGERS: Final = 1000
REPORT_EVERY_S: Final = 3600.0


class Stranger(msgspec.Struct, eq=False):
    """What is known of one: how often and when (Unix s) it was heard."""

    count: int
    first: float
    last: float


class Heard:
    """Keyed by DevEUI (join-requests) or DevAddr (data); the longest silent goes first when the list is full."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self.strangers: OrderedDict[str, Stranger] = OrderedDict()

    def note(self, name: str, best: Reception, **detail: object) -> Entry | None:
        """Count it; the event to report, when it is due. `name` is 16 (DevEUI) or 8 (DevAddr) hex digits."""
        stranger = self.strangers.get(name)
        if stranger is None:
            stranger = self.strangers[name] = Stranger(0, best.received_at, best.received_at)
            while len(self.strangers) > MAX_STRANGERS:
                self.strangers.popitem(last=False)
        stranger.count += 1
        stranger.last = best.received_at
        self.strangers.move_to_end(name)
        return self._events.rated(
            "heard",
            name if len(name) == 16 else None,
            key=(name,),
            every_s=REPORT_EVERY_S,
            stranger=True,
            **{**detail, **link(best), "count": stranger.count},
        )
