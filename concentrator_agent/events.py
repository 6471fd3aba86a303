"""Events for the portal: made here, sent like telegrams, and rated so that nobody on the air can flood the outbox."""

from collections import Counter, OrderedDict
from typing import Any, Final

from concentrator_agent.radio.base import Reception
from edge.clock import Clock
from edge.outbox import Entry
from edge.ulids import Ulids
from meterwire import messages

KIND: Final = "event"
REPEAT_AFTER_S: Final = 60.0  # the same thing about the same device
STRANGER_BURST: Final = 30
STRANGER_REFILL_S: Final = 10.0  # one more stranger's event every so many seconds
MAX_KEYS: Final = 1000


class Events:
    """`make` always gives an entry for the outbox; `rated` gives None while the same was reported a moment ago."""

    def __init__(self, clock: Clock, ulids: Ulids) -> None:
        self._clock = clock
        self._ulids = ulids
        self._last: OrderedDict[tuple[str, ...], list[float]] = OrderedDict()
        self.strangers = Budget(clock)
        self.askers = Budget(clock)  # who asks to join has its own: noise must not hide it
        self.suppressed: Counter[str] = Counter()

    def make(
        self, kind: messages.EventKind, dev_eui: str | None = None, reason: str | None = None, **detail: Any
    ) -> Entry:
        now = self._clock.time()
        event = messages.Event(
            id=self._ulids(),
            time=messages.timestamp(now),
            kind=kind,
            dev_eui=dev_eui,
            reason=reason,
            detail={name: value for name, value in detail.items() if value is not None},
        )
        return Entry(event.id, KIND, now, messages.encode(event))

    def rated(
        self,
        kind: messages.EventKind,
        dev_eui: str | None = None,
        reason: str | None = None,
        *,
        key: tuple[str, ...] = (),
        every_s: float = REPEAT_AFTER_S,
        budget: "Budget | None" = None,
        **detail: Any,
    ) -> Entry | None:
        """At most one per `every_s` of the same kind, device, reason and `key`; `count` tells how often it happened.

        What strangers cause also shares a small `budget`.
        """
        name = (kind, dev_eui or "", reason or "", *key)
        now = self._clock.monotonic()
        seen = self._last.get(name)
        if seen is not None and now - seen[0] < every_s:
            seen[1] += 1
            self.suppressed[kind] += 1
            return None
        if budget is not None and not budget.spend():
            self.suppressed[kind] += 1
            return None
        count = 1 + int(seen[1]) if seen is not None else 1
        self._last[name] = [now, 0.0]
        self._last.move_to_end(name)
        while len(self._last) > MAX_KEYS:
            self._last.popitem(last=False)
        return self.make(kind, dev_eui, reason, **{"count": count, **detail})


class Budget:
    """So many events at once, and one more every few seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens = float(STRANGER_BURST)
        self._filled_at = clock.monotonic()

    def spend(self) -> bool:
        now = self._clock.monotonic()
        self._tokens = min(STRANGER_BURST, self._tokens + (now - self._filled_at) / STRANGER_REFILL_S)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def link(reception: Reception) -> dict[str, Any]:
    """The best reception as flat detail of an event."""
    return {"gw": reception.gateway, "rssi": reception.rssi, "snr": reception.snr}
