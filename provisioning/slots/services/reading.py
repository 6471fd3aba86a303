"""Slots as the database has them, in the allocator's words, and which ones changed since an edition."""

from collections.abc import Collection

from provisioning.slots.allocator import Place, Stored
from provisioning.slots.models import Assignment, Occupancy, SlotChange
from provisioning.slots.services.needs import signal_of

AT_ONCE = 10_000  # adapters in one question
KEPT_CHANGES = 1000  # per concentrator; more than these are read as everything
_PLACE = ("pk", "concentrator_id", "channel", "phase_ms", "length_ms", "period_s")
_SIGNAL = ("data_rate", "level_dbm", "guard_ms")


def at(concentrator: int) -> dict[int, Stored]:
    """All that is served or heard at a concentrator, by adapter."""
    # No join: right after an import, before PostgreSQL has counted its tables anew, it would take minutes for one.
    here = list(Occupancy.objects.filter(concentrator=concentrator).values_list("assignment", flat=True))
    found: dict[int, Stored] = {}
    for start in range(0, len(here), AT_ONCE):
        found |= among(here[start : start + AT_ONCE])
    return found


def among(adapters: Collection[int]) -> dict[int, Stored]:
    """Those of the adapters that have a slot."""
    return _read(list(adapters)) if adapters else {}


def changed_since(concentrator: int, edition: int) -> set[int] | None:
    """The adapters whose slots came, went or changed at a concentrator after an edition; None: too many, or unknown."""
    log = SlotChange.objects.filter(concentrator=concentrator)
    last = log.filter(edition=edition).order_by("-pk").values_list("pk", flat=True).first()
    if last is None:
        return None
    # Rows are counted, not adapters: one that changed often must not hide that the rest was cut off.
    found = list(log.filter(pk__gt=last).values_list("adapter", flat=True)[: KEPT_CHANGES + 1])
    return None if None in found or len(found) > KEPT_CHANGES else {pk for pk in found if pk is not None}


def _read(adapters: list[int]) -> dict[int, Stored]:
    heard: dict[int, tuple[int, ...]] = {}
    elsewhere = Occupancy.objects.filter(assignment__in=adapters, served=False).order_by(
        "assignment_id", "concentrator_id"
    )
    for adapter, concentrator in elsewhere.values_list("assignment_id", "concentrator_id"):
        heard[adapter] = (*heard.get(adapter, ()), concentrator)
    held = Assignment.objects.filter(pk__in=adapters).values_list(*_PLACE, *_SIGNAL)
    return {
        pk: Stored(pk, at, Place(channel, phase_ms), length_ms, period_s, heard.get(pk, ()), signal_of(*signal))
        for pk, at, channel, phase_ms, length_ms, period_s, *signal in held
        if at is not None
    }
