"""A slot that an adapter of the world keeps, the days it was measured on, and a neighbour that is heard."""

from datetime import UTC, datetime, timedelta
from typing import Any

from portal.telemetry.models import SlotDay
from portal.telemetry.slots import marks
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.slots.models import Assignment, Neighbour, Occupancy
from tests.portal_web.world import World

TODAY = datetime.now(UTC).date()


def settled(adapter: Adapter) -> Assignment:
    """The slot that pairing gave; its adapter took it over long ago."""
    Assignment.objects.filter(pk=adapter.pk).update(
        version=1,
        echoed_version=1,
        echoed_state=Assignment.State.IN_SLOT,
        assigned_at=datetime.now(UTC) - timedelta(days=40),
        echoed_at=datetime.now(UTC),
    )
    return Assignment.objects.select_related("adapter", "concentrator").get(pk=adapter.pk)


def a_day(row: Assignment, back: int = 0, **figures: Any) -> SlotDay:
    """A day without any trouble, but for `figures`."""
    fields: dict[str, Any] = {
        "inside": 95, "expected": 96, "arrived": 95, "early_ms": 5.0, "late_ms": 9.0, "median_ms": 2.0, "rate_ppb": 900,
        "guard_ms": row.guard_ms, "version": row.version, **figures,
    }  # fmt: skip
    assert row.concentrator is not None
    day = SlotDay(adapter=row.adapter, concentrator=row.concentrator, day=TODAY - timedelta(days=back), **fields)
    day.marks = marks(day)
    day.save()
    return day


def a_neighbour(world: World, row: Assignment, at: Concentrator, *, conflict: bool) -> Assignment:
    """A slot of an adapter of another site and concentrator, at the time of `row`, that is heard `at` this one."""
    site = world.cast.site("Far away 1")
    other = world.cast.concentrator(site)
    adapter = world.cast.adapter(site, other)
    place = {name: getattr(row, name) for name in ("channel", "phase_ms", "period_s", "guard_ms", "length_ms")}
    held, _made = Assignment.objects.update_or_create(
        adapter=adapter, defaults={**place, "organisation": adapter.organisation, "concentrator": other, "version": 1}
    )
    Occupancy.objects.create(assignment=held, concentrator=at, first=0, last=1, begin=0, end=10, served=False)
    Neighbour.objects.create(
        adapter=adapter,
        concentrator=at,
        heard_at=world.now,
        rssi=-99.0,
        expires_at=world.now + timedelta(days=1),
        conflict=conflict,
    )
    return held
