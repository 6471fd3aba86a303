"""Strangers: devices that are heard but are not in the table, in a bounded list."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from concentrator_agent.events import Events, link
from concentrator_agent.radio.base import Reception
from edge.clock import Clock
from edge.outbox import Entry

MAX_STRANGERS: Final = 1000
REPORT_EVERY_S: Final = 3600.0
FIRST_REPEAT_S: Final = 30.0  # somebody may stand beside a device that asks to join, and wait for its radio figures


class Stranger(msgspec.Struct, eq=False):
    """What is known of one: how often and when (Unix s) it was heard; `due` and `heard` are monotonic seconds."""

    count: int
    first: float
    last: float
    wait: float
    due: float = float("-inf")
    heard: float = float("-inf")


class Heard:
    """Keyed by DevEUI (join-requests) or DevAddr (data); the longest silent goes first when the list is full.

    One that asks to join is reported at once, then after 30 s, 1 min, 2 min and so on up to hourly, and anew after an
    hour of silence; one that sends data, hourly.
    """

    def __init__(self, events: Events, clock: Clock) -> None:
        self._events = events
        self._clock = clock
        self.strangers: OrderedDict[str, Stranger] = OrderedDict()

    def note(self, name: str, best: Reception, **detail: object) -> Entry | None:
        """Count it; the event to report, when it is due. `name` is 16 (DevEUI) or 8 (DevAddr) hex digits."""
        asks, now = len(name) == 16, self._clock.monotonic()
        stranger = self.strangers.get(name)
        if stranger is None:
            wait = FIRST_REPEAT_S if asks else REPORT_EVERY_S
            stranger = self.strangers[name] = Stranger(0, best.received_at, best.received_at, wait)
            while len(self.strangers) > MAX_STRANGERS:
                self.strangers.popitem(last=False)
        elif asks and now - stranger.heard >= REPORT_EVERY_S:
            stranger.wait = FIRST_REPEAT_S
        stranger.count += 1
        stranger.last, stranger.heard = best.received_at, now
        self.strangers.move_to_end(name)
        budget = self._events.askers if asks else self._events.strangers
        if now < stranger.due or not budget.spend():
            self._events.suppressed["heard"] += 1
            return None
        stranger.due = now + stranger.wait
        stranger.wait = min(2 * stranger.wait, REPORT_EVERY_S)
        radio = link(best) | {"dr": best.dr}
        return self._events.make("heard", name if asks else None, **{**detail, **radio, "count": stranger.count})

    def forget(self, known: Callable[[str], bool]) -> None:
        """Drop who is in the table now; `known` is asked for each DevEUI."""
        for name in [name for name in self.strangers if len(name) == 16 and known(name)]:
            del self.strangers[name]
