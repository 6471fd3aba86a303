"""An adapter that takes another one's place takes its slot too: same phase, next version, nothing given anew."""

from django.utils import timezone

from meterwire.slots import MAX_VERSION
from provisioning.accounts.actors import Actor
from provisioning.audit.services import record
from provisioning.fleet.desired import devices_changed
from provisioning.fleet.models import Adapter
from provisioning.slots.models import Assignment, Neighbour, Occupancy
from provisioning.slots.services.echoes import newer
from provisioning.slots.services.site import Site, occupied_by

_PLACE = ("concentrator_id", "channel", "phase_ms", "period_s", "data_rate", "size", "guard_ms", "length_ms",
          "overlap_ms")  # fmt: skip


def hand_on(actor: Actor, old: Adapter, new: Adapter) -> bool:
    """The slot of `old` becomes that of `new`, in a service's transaction; False when there is none to hand on.

    So do the neighbours: who heard the one hears the other in its place. A foreign device has no slots, and one that
    has a slot keeps it. Its level is not known yet.
    """
    row = Assignment.objects.filter(adapter=old, concentrator__isnull=False).first()
    heir = Assignment.objects.filter(adapter=new).first() or Assignment(adapter=new)
    held = heir.concentrator_id is not None
    if row is None or held or new.kind != Adapter.Kind.METERSPAN or new.organisation_id != row.organisation_id:
        return False
    concentrator = row.concentrator_id
    assert concentrator is not None
    site = Site(concentrator, occupied_by(row))
    for name in _PLACE:
        setattr(heir, name, getattr(row, name))
    latest = heir.version if newer(heir.version, row.version) else row.version
    heir.organisation_id, heir.version, heir.assigned_at = row.organisation_id, latest % MAX_VERSION + 1, timezone.now()
    new_row = heir._state.adding
    heir.save(force_insert=new_row, update_fields=None if new_row else (*_PLACE, "version", "assigned_at"))
    Occupancy.objects.filter(assignment=row).update(assignment=heir)
    Neighbour.objects.filter(adapter=new).delete()
    Neighbour.objects.filter(adapter=old).update(adapter=new)
    row.concentrator, row.overlap_ms, row.level_dbm, row.proposed_rate, row.proposals = None, 0, None, None, 0
    row.save(update_fields=["concentrator", "overlap_ms", "level_dbm", "proposed_rate", "proposals"])
    site.changed([old.pk, new.pk])
    data = {"from": old.dev_eui, "slot": str(heir), "version": heir.version}
    record(new.organisation, actor, "slot.handed_on", new, data)
    devices_changed(concentrator, [old.dev_eui, new.dev_eui])
    return True
