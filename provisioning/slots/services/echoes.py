"""What adapters say of their slots (record 0x90): kept, and answered when they run what we never gave or forgot."""

from datetime import datetime

from meterwire.config_records import SlotReport
from meterwire.slots import MAX_VERSION
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.fleet.desired import adapter_changed
from provisioning.fleet.models import Adapter
from provisioning.slots.models import Assignment

_HALF = (MAX_VERSION + 1) // 2


def echoed(actor: Actor, adapter: Adapter, report: SlotReport, at: datetime) -> bool:
    """Keep the adapter's echo of `at`; True when its slot has to be sent again under a new version.

    A version that is newer than ours comes from before a backup was restored: ours skips ahead of it, so that what the
    adapter takes next is newer still.
    """
    with audited(adapter.organisation):
        row = Assignment.objects.select_for_update().filter(adapter=adapter).first()
        if row is None:
            row = Assignment.objects.create(adapter=adapter, organisation_id=adapter.organisation_id)
        if row.echoed_at is not None and at <= row.echoed_at:
            return False
        row.echoed_version, row.echoed_state, row.echoed_at = report.version, report.state, at
        row.rate_ppb, row.uncertainty_ms = report.rate_ppb, report.uncertainty_ms
        again = report.version != 0 and newer(report.version, row.version)
        if again:
            before, row.version = row.version, report.version % MAX_VERSION + 1
            data = {"version": [before, row.version], "echoed": report.version}
            record(adapter.organisation, actor, "slot.skipped_ahead", adapter, data)
            adapter_changed(adapter)
        row.save()
    return again


def newer(version: int, than: int) -> bool:
    """Whether a 16-bit version comes after another one, by the shorter way around."""
    return 0 < (version - than) % (MAX_VERSION + 1) < _HALF
