"""Sequence numbers of port 34: rising per adapter and partner, never given out twice under one key-transport key."""

from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from provisioning.campaigns.models import Sequence
from provisioning.errors import Conflict
from provisioning.fleet.models import Adapter
from provisioning.keys.models import DeviceKey, KeyState, Purpose

LAST: Final = 0xFFFF


class SequenceUsedUp(Conflict):
    """All 16-bit numbers between this adapter and partner are used: only another transport key helps."""

    code = "sequence_used_up"


def next_seq(adapter: Adapter, partner: str = "portal") -> int:
    """The next number, 1 to 65535. SequenceUsedUp."""
    with transaction.atomic():
        row = _locked(adapter, partner)
        if row.last >= LAST:
            raise SequenceUsedUp(
                _("All message numbers of {adapter} are used up; hand a new key-transport key over.").format(
                    adapter=adapter.dev_eui
                )
            )
        row.last += 1
        row.save(update_fields=["last", "transport_version"])
    return row.last


def seen_seq(adapter: Adapter, partner: str, seq: int) -> None:
    """The adapter proved that it accepted `seq`: continue above it, as after a restored backup."""
    with transaction.atomic():
        row = _locked(adapter, partner)
        if row.last < seq <= LAST:
            row.last = seq
            row.save(update_fields=["last", "transport_version"])


def _locked(adapter: Adapter, partner: str) -> Sequence:
    rows = Sequence.objects.select_for_update().filter(adapter=adapter, partner=partner)
    row = rows.first()
    if row is None:
        Sequence.objects.bulk_create([Sequence(adapter=adapter, partner=partner)], ignore_conflicts=True)
        row = rows.get()
    active = DeviceKey.objects.filter(
        adapter=adapter, purpose=Purpose.TRANSPORT, partner=partner, state=KeyState.ACTIVE
    )
    version = active.values_list("version", flat=True).first()
    if version is not None and version > row.transport_version:
        row.last, row.transport_version = 0, version
    return row
