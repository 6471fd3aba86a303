"""What the pipeline works on: a batch of telegrams on their way from a message to the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from meterwire.config_records import Part
from meterwire.messages import Telegram
from meterwire.seal import InnerKey, ValuesOpener

MICROSECONDS = 1_000_000


class AdapterRecord:
    """What the bridge keeps of one adapter between batches; times in microseconds since the Unix epoch.

    `openers` holds, by key slot, the opener, the validity (from, before) and the row of the key; `delivering` are the
    slots whose key waits to be heard, `refusals` those whose key must not be used, with the code that says why,
    `sealed_slots` those of keys that the portal does not share. `keyless`: it knows no inner key at all. `pairings`
    lists (from, before, metering point) by input; the point is None where the adapter reads another meter than it was
    paired with, which quarantines the readings. `watched` are the inputs whose first reading is waited for.
    `marked_us`: when the use of a key was last noted. `resting`: keys for clear telegrams that are to rest sealed.

    The second block mirrors AdapterStatus; of it `last_counter` and (`epoch`, `fcnt`) run ahead within a batch;
    `reported` is the counter that the adapter announced after its last join.
    The third holds what the batch adds.
    """

    __slots__ = (
        "delivering", "dev_eui", "due_us", "epoch", "error", "error_us", "fcnt", "foreign", "high", "keyless",
        "last_counter", "last_us", "latest", "low", "marked_us", "new_period_s", "openers", "organisation", "pairings",
        "period_s", "pk", "received", "refusals", "refused", "reported", "resting", "revoked", "sealed_slots",
        "stored_counter", "telegrams", "touched", "used", "watched",
    )  # fmt: skip

    def __init__(self, pk: int, organisation: int, dev_eui: str, foreign: bool = False, revoked: bool = False) -> None:
        self.pk, self.organisation, self.dev_eui = pk, organisation, dev_eui
        self.foreign, self.revoked = foreign, revoked
        self.openers: dict[int, tuple[ValuesOpener, int, int, int]] = {}
        self.delivering: frozenset[int] = frozenset()
        self.refusals: dict[int, str] = {}
        self.resting: dict[int, InnerKey] = {}
        self.sealed_slots: frozenset[int] = frozenset()
        self.keyless = True
        self.pairings: dict[int, list[tuple[int, int, int | None]]] = {}
        self.watched: frozenset[int] = frozenset()
        self.last_counter = self.stored_counter = self.reported = self.fcnt = -1
        self.epoch = self.last_us = self.marked_us = self.used = 0
        self.period_s: float | None = None
        self.settle()

    def settle(self) -> None:
        """Forget what the batch added."""
        self.touched = False
        self.telegrams = self.received = self.refused = self.error_us = self.due_us = 0
        self.error: str | None = None
        self.latest: Arrival | None = None
        self.low = self.high = -1
        self.new_period_s = self.period_s


@dataclass(frozen=True, slots=True)
class Source:
    """The concentrator that brought a telegram; `keeps_sealed`: its organisation stores no clear value."""

    pk: int
    organisation: int
    eui: str
    keeps_sealed: bool = False


class Arrival:
    """One telegram on its way. `error` is the code of the step that refused it; later steps leave it alone.

    `values` are (register, value) pairs, None for a value that stays sealed; `readings` are (register, value,
    measured at, metering point or None). `fresh`: the counter proves that it cannot be in the database; `known`: it
    is there already; `gap`: the telegram of the counter before it had not come when this one did. `stored` is the
    payload as the database keeps it; `key` the row of the key under which its values rest there, None where they are
    stored beside it.
    """

    __slots__ = (
        "adapter", "counter", "error", "fresh", "gap", "key", "known", "opener", "readings", "received_us", "sealed",
        "slot", "source", "stored", "telegram", "values",
    )  # fmt: skip

    def __init__(self, telegram: Telegram, source: Source) -> None:
        self.telegram, self.source = telegram, source
        self.adapter: AdapterRecord | None = None
        self.opener: ValuesOpener | None = None
        self.slot: int | None = None
        self.stored = telegram.payload
        self.key: int | None = None
        self.counter: int | None = None
        self.values: Sequence[tuple[int, int | None]] | None = None
        self.readings: list[tuple[int, int | None, int, int | None]] | None = None
        self.error: str | None = None
        self.received_us = 0
        self.sealed = self.known = self.fresh = self.gap = False


@dataclass(frozen=True, slots=True)
class Note:
    """An AdapterEvent that the pipeline itself has to report."""

    arrival: Arrival
    kind: str
    reason: str
    detail: Mapping[str, Any]


@dataclass
class Batch:
    """Arrivals of one transaction; `now_us` is when the portal took them.

    `late` are (hour, adapter) of readings whose hour may have been condensed already; `reports` is what came on port
    33; `proofs` are (arrival, input, identity hash) out of opened values; `doubtful` are those that are not fresh.
    """

    arrivals: list[Arrival]
    now_us: int
    touched: list[AdapterRecord] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    late: set[tuple[int, int]] = field(default_factory=set)
    reports: list[tuple[Arrival, Part]] = field(default_factory=list)
    proofs: list[tuple[Arrival, int, int]] = field(default_factory=list)
    doubtful: list[Arrival] = field(default_factory=list)


def moment(us: int) -> datetime:
    """The aware datetime of microseconds since the Unix epoch."""
    return datetime.fromtimestamp(us // MICROSECONDS, UTC).replace(microsecond=us % MICROSECONDS)


def microseconds(when: datetime) -> int:
    """The inverse of `moment`."""
    return round(when.timestamp() * MICROSECONDS)
