"""How adapters keep their slots: what concentrators measure of them (events of kind `slot`), summed by adapter and day.

A figure that cannot be is refused with a reason, which the stored event then names; nothing of such an event counts.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from enum import IntFlag
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from portal.telemetry.models import AdapterEvent, SlotDay
from provisioning.fleet.models import Concentrator
from provisioning.slots.models import Assignment

KIND: Final = "slot"
KEPT: Final = timedelta(days=14)  # events of this kind, by which one that comes twice is known
OLDEST: Final = KEPT - timedelta(days=1)  # older ones no longer count: nobody could tell that they did before
LEAD: Final = timedelta(minutes=5)  # further ahead of the portal a concentrator's clock is wrong

MOST: Final = 1_000_000  # telegrams or slots of an adapter's day, beyond which no event adds any: the air has no room

FIGURES, UNKNOWN, ELSEWHERE, NO_SLOT, TOO_OLD, TOO_MANY = (
    "slot_figures", "slot_unknown_adapter", "slot_other_concentrator", "slot_none", "slot_too_old", "slot_too_many",
)  # fmt: skip

OVER: Final = 0.7  # of the guard: there is time left to act
DRIFTS_PPB: Final = 50_000  # no crystal of an adapter is specified wider; more is a damaged one
DELIVERED: Final = 0.95  # a slot of one's own loses far less, and two in a row lose a reading
KEPT_SHARE: Final = 0.1  # of what it sends: so much falls into a slot's window by chance

_Count = Annotated[int, Meta(ge=0, le=100_000)]
_Deviation = Annotated[float, Meta(ge=0, le=10_000)]


class Mark(IntFlag):
    """What of a day may be trouble; portal.telemetry.slot_queries judges it together with other days."""

    GUARD = 1
    OUTSIDE = 2
    DRIFT = 4
    LOST = 8


class Figures(msgspec.Struct, frozen=True):
    """The detail of an event: since the last one, in slots and outside, what was due and missed, and the clock now."""

    version: Annotated[int, Meta(ge=1, le=65_535)]
    n: _Count
    answers: _Count
    outside: _Count = 0
    early_ms_p99: _Deviation | None = None
    late_ms_p99: _Deviation | None = None
    median_ms: Annotated[float, Meta(ge=-10_000, le=10_000)] | None = None
    rate_ppb: Annotated[int, Meta(ge=-(1 << 23), lt=1 << 23)] | None = None
    uncertainty_ms: Annotated[float, Meta(ge=0, le=100_000_000)] | None = None
    expected: _Count | None = None
    missed: _Count = 0
    alone_missed: _Count = 0

    def __post_init__(self) -> None:
        if self.n and None in (self.early_ms_p99, self.late_ms_p99, self.median_ms):
            raise ValueError("telegrams in the slot without how early and late they were")
        if self.missed > (self.expected or 0) or self.alone_missed > self.missed:
            raise ValueError("more slots were missed than were due")


def one_at_a_time(concentrators: Collection[int]) -> None:
    """Wait for whoever counts events of these concentrators: the same event may come through two bridges at once."""
    rows = Concentrator.objects.select_for_update(no_key=True).filter(pk__in=concentrators)
    list(rows.order_by("pk").values_list("pk"))


def count(events: Sequence[AdapterEvent], now: datetime) -> None:
    """Add new, unsaved events to their days, in the caller's transaction; each that is refused gets its `reason`."""
    slots = {row.pk: row for row in Assignment.objects.filter(pk__in={event.adapter_id for event in events})}
    taken = []
    for event in sorted(events, key=lambda event: event.at):
        figures, event.reason = _checked(event, slots, now)
        if figures is not None:
            taken.append((event, slots[event.adapter_id or 0], _day(event.at, now), figures))
    if not taken:
        return
    days = _days((slot.pk, day) for _, slot, day, _ in taken)
    for event, slot, day, figures in taken:
        row = days.setdefault((slot.pk, day), SlotDay(adapter_id=slot.pk, day=day))
        if max(row.inside, row.outside, row.other, row.expected, row.answers) >= MOST:
            event.reason = TOO_MANY
            continue
        _add(row, slot, figures)
        row.marks = marks(row)
    for row in days.values():
        row.pk = None  # found again by adapter and day
    SlotDay.objects.bulk_create(
        [days[key] for key in sorted(days)], update_conflicts=True, unique_fields=["adapter", "day"],
        update_fields=_WRITTEN,
    )  # fmt: skip


def marks(row: SlotDay) -> Mark:
    """What of a day may be trouble."""
    found = Mark(0)
    if (row.used or 0.0) > OVER:
        found |= Mark.GUARD
    if row.outside and row.inside <= KEPT_SHARE * (row.inside + row.outside):
        found |= Mark.OUTSIDE
    if abs(row.rate_ppb or 0) > DRIFTS_PPB:
        found |= Mark.DRIFT
    if row.arrived < DELIVERED * row.expected:
        found |= Mark.LOST
    return found


_WRITTEN = [field.name for field in SlotDay._meta.concrete_fields if field.name not in {"id", "adapter", "day"}]


def _checked(event: AdapterEvent, slots: dict[int, Assignment], now: datetime) -> tuple[Figures | None, str]:
    """The figures of an event that counts, or why it does not."""
    if event.adapter_id is None:
        return None, UNKNOWN
    slot = slots.get(event.adapter_id)
    if slot is None or slot.concentrator_id is None:
        return None, NO_SLOT
    if slot.concentrator_id != event.concentrator_id:
        return None, ELSEWHERE
    if event.at < now - OLDEST:
        return None, TOO_OLD
    try:
        return msgspec.convert(event.detail, Figures), ""
    except msgspec.ValidationError:
        return None, FIGURES


def _day(at: datetime, now: datetime) -> date:
    return (at if at <= now + LEAD else now).date()


def _days(keys: Iterable[tuple[int, date]]) -> dict[tuple[int, date], SlotDay]:
    wanted = set(keys)
    rows = SlotDay.objects.filter(adapter__in={adapter for adapter, _ in wanted}, day__in={day for _, day in wanted})
    return {(row.adapter_id, row.day): row for row in rows if (row.adapter_id, row.day) in wanted}


def _add(row: SlotDay, slot: Assignment, figures: Figures) -> None:
    """Of another slot than the given one only the number of telegrams counts; a new slot's guard is used anew.

    A day stays its slot's until something of the next one was measured on it: what came late of yesterday is of before.
    """
    assert slot.concentrator_id is not None
    given = figures.version == slot.version
    known = row.concentrator_id is not None
    if not known or (given and (row.version, row.concentrator_id) != (slot.version, slot.concentrator_id)):
        row.version, row.guard_ms, row.concentrator_id = slot.version, slot.guard_ms, slot.concentrator_id
        row.early_ms = row.late_ms = row.median_ms = None
    row.answers += figures.answers
    if not given:
        row.other += figures.n + figures.outside
        return
    row.inside += figures.n
    row.outside += figures.outside
    if figures.expected is not None:
        row.expected += figures.expected
        row.arrived += figures.expected - figures.missed
        row.collided += figures.alone_missed
    if figures.early_ms_p99 is not None and figures.late_ms_p99 is not None:
        row.early_ms = max(row.early_ms or 0.0, figures.early_ms_p99)
        row.late_ms = max(row.late_ms or 0.0, figures.late_ms_p99)
        row.median_ms = figures.median_ms
    if figures.rate_ppb is not None:
        row.rate_ppb, row.uncertainty_ms = figures.rate_ppb, figures.uncertainty_ms
