"""Which keys there are; values are opened by the vault alone."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import QuerySet

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Organisation
from provisioning.fleet.access import within_reach
from provisioning.keys.models import SLOTTED, DeviceKey, KeyState


def visible_keys(actor: Actor, organisation: Organisation | None = None) -> QuerySet[DeviceKey]:
    """Keys with their adapters, without their sealed values. Empty without keys.view."""
    rows = DeviceKey.objects.select_related("adapter").defer("sealed")
    return within_reach(rows, actor, organisation, "keys.view", "adapter__site_id")


def expiring_keys(actor: Actor, organisation: Organisation | None, before: datetime) -> QuerySet[DeviceKey]:
    """Visible keys in use whose validity ends before that moment, the nearest first."""
    used = [KeyState.GENERATED, KeyState.IMPORTED, KeyState.DELIVERING, KeyState.ACTIVE]
    return visible_keys(actor, organisation).filter(not_after__lt=before, state__in=used).order_by("not_after")


def slot_keys(adapter_ids: Iterable[int]) -> dict[tuple[int, int], DeviceKey]:
    """For the bridge: by (adapter, slot), the one key that holds the slot, whatever its state; ask `key.opens`.

    Not in the result: no key was ever in that slot, or it is destroyed.
    """
    rows = DeviceKey.objects.filter(adapter_id__in=list(adapter_ids), slot__isnull=False, purpose__in=SLOTTED)
    return {(row.adapter_id, row.slot): row for row in rows.exclude(state=KeyState.DESTROYED) if row.slot is not None}
