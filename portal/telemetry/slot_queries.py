"""Who keeps its slot and who does not, out of what concentrators measured on the last days.

The caller has checked which adapters and concentrators may be seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Final

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from portal.telemetry.models import AdapterEvent, SlotDay
from portal.telemetry.slot_judging import CURRENT, SETTLING, Day, Slot, days_left, judge
from portal.telemetry.slots import DRIFTS_PPB
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.slots.models import Assignment

LOOK_BACK: Final = timedelta(days=14)  # what is judged together
WEEK: Final = timedelta(days=7)
KINDS: Final = ("echo", "outside", "lost", "guard", "drift")  # of troubles of adapters, the worst first
MANY: Final = 5_000  # adapters under suspicion; of more only the last days are judged: it is one cause, and not theirs

_SLOT: Final = ("pk", "adapter__dev_eui", "concentrator_id", "version", "echoed_version", "assigned_at")
_DAY: Final = (
    "day", "guard_ms", "inside", "outside", "expected", "arrived", "collided", "early_ms", "late_ms", "rate_ppb",
    "uncertainty_ms",
)  # fmt: skip
_ENDS: Final = {
    "agreed": "contradicted",
    "settled": "jump",
}  # what a concentrator says of its clock, and what that ends
_MOST_MS: Final = 100 * 366 * 86_400_000  # no clock jumps further; a number may have any length


@dataclass(frozen=True, slots=True)
class Trouble:
    """`kind`: "guard" (`figure`: share of it that is used), "outside" (share of telegrams outside of the slot), "drift"
    (ppm), "echo" (the version that the adapter says it runs), "lost" (share that arrives); "clock" of a concentrator,
    without an adapter (s that it jumped; None: its adapters contradict it).
    """

    adapter_id: int | None
    dev_eui: str
    concentrator_id: int
    kind: str
    since: datetime
    figure: float | None


@dataclass(frozen=True, slots=True)
class Discipline:
    """How an adapter keeps its slot. Of the last `day` that was measured: `used` (share of the guard), `early_ms`,
    `late_ms`, and what its clock still gained after its own correction (`rate_ppb`, within `uncertainty_ms`). Of the
    last week: telegrams `inside` and `outside`, `delivery` (share of its slots in which something arrived, None:
    nothing was due) and, of those missed, how many while others came (`collided`).

    `days_left`: the guard is used up in about so many if it goes on so. `state`: kind of the worst Trouble, or "".
    """

    day: date
    used: float | None
    early_ms: float | None
    late_ms: float | None
    rate_ppb: int | None
    uncertainty_ms: float | None
    inside: int
    outside: int
    delivery: float | None
    collided: int
    days_left: float | None
    state: str


def drift(adapter: Adapter, days: int = 60, now: datetime | None = None) -> list[SlotDay]:
    """Its days of the last so many, in order of time; days of which nothing is known are left out."""
    _, today = _present(now)
    return list(SlotDay.objects.filter(adapter=adapter, day__gt=today - timedelta(days=days)).order_by("day"))


def discipline(adapter: Adapter, now: datetime | None = None) -> Discipline | None:
    """None for an adapter of whose present slot nothing was measured on the last days."""
    now, today = _present(now)
    rows = SlotDay.objects.filter(adapter=adapter, day__gt=today - LOOK_BACK)
    kept = list(_kept(Assignment.objects.filter(pk=adapter.pk), rows))
    if not kept:
        return None
    slot, days = kept[0]
    last = next((one for one in reversed(days) if one.used is not None), days[-1])
    week = [one for one in days if one.day > today - WEEK]
    expected = sum(one.expected for one in week)
    kinds = [one.kind for one in judge(slot, days, now, today)]
    kinds += [one.kind for one in _said(Assignment.objects.filter(pk=adapter.pk))]
    return Discipline(
        day=last.day,
        used=last.used,
        early_ms=last.early_ms,
        late_ms=last.late_ms,
        rate_ppb=last.rate_ppb,
        uncertainty_ms=last.uncertainty_ms,
        inside=sum(one.inside for one in week),
        outside=sum(one.outside for one in week),
        delivery=sum(one.arrived for one in week) / expected if expected else None,
        collided=sum(one.collided for one in week),
        days_left=days_left(days, today),
        state=min(kinds, key=KINDS.index, default=""),
    )


def troubles(concentrators: QuerySet[Concentrator], now: datetime | None = None) -> list[Trouble]:
    """All that these concentrators' slots and clocks suffer from, by adapter; one adapter may have several."""
    now, today = _present(now)
    marked = SlotDay.objects.filter(concentrator__in=concentrators, day__gt=today - LOOK_BACK, marks__gt=0)
    suspects = list(marked.order_by().values_list("adapter", flat=True).distinct())
    if len(suspects) <= MANY:
        held = Assignment.objects.filter(pk__in=suspects)
        rows = SlotDay.objects.filter(adapter__in=suspects, day__gt=today - LOOK_BACK)
    else:
        held = Assignment.objects.filter(concentrator__in=concentrators)
        rows = SlotDay.objects.filter(concentrator__in=concentrators, day__gt=today - timedelta(days=CURRENT))
    found = [
        Trouble(slot.adapter, slot.dev_eui, slot.concentrator, kind, datetime.combine(first, time(), UTC), figure)
        for slot, days in _kept(held, rows)
        for kind, first, figure in judge(slot, days, now, today)
    ]
    drifting = {one.adapter_id for one in found if one.kind == "drift"}
    said = _said(Assignment.objects.filter(concentrator__in=concentrators))
    found += [one for one in said if one.kind != "drift" or one.adapter_id not in drifting]
    return found + _wrong_clocks(concentrators, now)


def _present(now: datetime | None) -> tuple[datetime, date]:
    """Now, and its day as SlotDay counts them."""
    now = now or timezone.now()
    return now, now.astimezone(UTC).date()


def _kept(held: QuerySet[Assignment], rows: QuerySet[SlotDay]) -> Iterator[tuple[Slot, list[Day]]]:
    """Slots that adapters have now, each with its days in order of time; without those that have no day."""
    present = held.filter(concentrator__isnull=False, adapter__archived_at=None)
    slots = {row[0]: Slot(*row) for row in present.values_list(*_SLOT)}
    columns = rows.order_by("adapter", "day").values_list("adapter", "concentrator", "version", *_DAY)
    for pk, some in groupby(columns, key=itemgetter(0)):
        slot = slots.get(pk)
        if slot is None:
            continue
        days = [Day(*row[3:]) for row in some if row[1:3] == (slot.concentrator, slot.version)]
        if days:
            yield slot, days


def _said(rows: QuerySet[Assignment]) -> list[Trouble]:
    """What adapters themselves say: another slot than the one given to them long ago, or a crystal far off."""
    held = rows.filter(concentrator__isnull=False, adapter__archived_at=None).order_by("pk")
    other = ~Q(echoed_version=F("version")) & Q(echoed_at__gt=F("assigned_at") + SETTLING)
    wild = Q(rate_ppb__gt=DRIFTS_PPB) | Q(rate_ppb__lt=-DRIFTS_PPB)
    found = []
    columns = held.filter(other | wild, echoed_version__isnull=False).values_list(*_SLOT, "echoed_at", "rate_ppb")
    for *slot, echoed_at, rate_ppb in columns:
        pk, dev_eui, concentrator, version, echoed, since = Slot(*slot)
        if echoed != version and echoed_at - since > SETTLING:
            found.append(Trouble(pk, dev_eui, concentrator, "echo", since, float(echoed or 0)))
        if abs(rate_ppb or 0) > DRIFTS_PPB:
            found.append(Trouble(pk, dev_eui, concentrator, "drift", since, rate_ppb / 1000))
    return found


def _wrong_clocks(concentrators: QuerySet[Concentrator], now: datetime) -> list[Trouble]:
    """Concentrators that jumped or are contradicted by their adapters, until they say that it is well again.

    By the order in which it came: the times are those of the clock that is wrong.
    """
    events = AdapterEvent.objects.filter(kind="clock", concentrator__in=concentrators, at__gt=now - LOOK_BACK)
    said = events.filter(reason__in=[*_ENDS, *_ENDS.values()]).order_by("stored_at", "at")
    wrong: dict[tuple[int, str], Trouble] = {}
    well: dict[tuple[int, str], datetime] = {}
    columns = said.values_list("concentrator", "reason", "at", "stored_at", "detail")
    for pk, reason, at, stored_at, detail in columns.iterator(chunk_size=2_000):
        if reason in _ENDS:
            wrong.pop((pk, _ENDS[reason]), None)
            well[pk, _ENDS[reason]] = at
        elif well.get((pk, reason)) != at:  # of what was said in the same moment the all-clear holds
            jumped = detail.get("offset_ms")
            figure = max(-_MOST_MS, min(_MOST_MS, jumped)) / 1000 if isinstance(jumped, int | float) else None
            wrong.setdefault((pk, reason), Trouble(None, "", pk, "clock", min(at, stored_at), figure))
    first = {one.concentrator_id: one for one in sorted(wrong.values(), key=attrgetter("since"), reverse=True)}
    return [first[pk] for pk in sorted(first)]
