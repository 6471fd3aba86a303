"""Slots as the database has them, in the allocator's words, and which ones changed since an edition."""

from collections.abc import Collection

from django.db.models import Q

from provisioning.slots.allocator import Place, Stored
from provisioning.slots.models import Assignment, Occupancy, SlotChange
from provisioning.slots.services.needs import signal_of

KEPT_CHANGES = 1000  # per concentrator; more than these are read as everything
_PLACE = ("pk", "concentrator_id", "channel", "phase_ms", "length_ms", "period_s")
_SIGNAL = ("data_rate", "level_dbm", "guard_ms")


def at(concentrator: int) -> dict[int, Stored]:
    """All that is served or heard at a concentrator, by adapter."""
    here = Occupancy.objects.filter(concentrator=concentrator)
    return _read(Q(occupancies__concentrator=concentrator), Q(assignment__in=here.values("assignment")))


def among(adapters: Collection[int]) -> dict[int, Stored]:
    """Those of the adapters that have a slot."""
    return _read(Q(pk__in=list(adapters)), Q(assignment__in=list(adapters))) if adapters else {}


def changed_since(concentrator: int, edition: int) -> set[int] | None:
    """The adapters whose slots came, went or changed at a concentrator after an edition; None: too many, or unknown."""
    log = SlotChange.objects.filter(concentrator=concentrator)
    last = log.filter(edition=edition).order_by("-pk").values_list("pk", flat=True).first()
    if last is None:
        return None
    # Rows are counted, not adapters: one that changed often must not hide that the rest was cut off.
    found = list(log.filter(pk__gt=last).values_list("adapter", flat=True)[: KEPT_CHANGES + 1])
    return None if None in found or len(found) > KEPT_CHANGES else {pk for pk in found if pk is not None}


def _read(rows: Q, occupancies: Q) -> dict[int, Stored]:
    heard: dict[int, tuple[int, ...]] = {}
    elsewhere = Occupancy.objects.filter(occupancies, served=False).order_by("assignment_id", "concentrator_id")
    for adapter, concentrator in elsewhere.values_list("assignment_id", "concentrator_id"):
        heard[adapter] = (*heard.get(adapter, ()), concentrator)
    # Whether there is a slot is looked at here: right after an import PostgreSQL would join by that and take minutes.
    held = Assignment.objects.filter(rows).values_list(*_PLACE, *_SIGNAL)
    return {
        pk: Stored(pk, at, Place(channel, phase_ms), length_ms, period_s, heard.get(pk, ()), signal_of(*signal))
        for pk, at, channel, phase_ms, length_ms, period_s, *signal in held
        if at is not None
    }
