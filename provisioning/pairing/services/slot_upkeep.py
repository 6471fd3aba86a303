"""What the radio tells about slots afterwards: another data rate, an echo, a place that no longer fits."""

from datetime import datetime

from meterwire.config_records import SlotReport
from meterwire.slots import MAX_DATA_RATE
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited
from provisioning.fleet.models import Adapter
from provisioning.pairing.services.configuration import refresh_configuration
from provisioning.pairing.services.slots import settle_slot
from provisioning.slots import services as slots
from provisioning.slots.models import Assignment


def renew_slot(actor: Actor, adapter: Adapter) -> None:
    """For the bridge: slot and configuration of an adapter that was moved or archived otherwise than by a pairing."""
    with audited(adapter.organisation):
        adapter.refresh_from_db(fields=["concentrator", "archived_at"])
        settle_slot(actor, adapter)
        refresh_configuration(adapter)


def follow_rate(actor: Actor, adapter: Adapter, data_rate: int, margin_db: float | None = None) -> bool:
    """The concentrator proposes another data rate; True when slot and configuration have changed with it: who lies over
    others keeps its own for want of room.

    `margin_db`: how much louder it hears the adapter than its present one needs; kept as its level in any case. One so
    slow that the slot would be beyond the duty cycle is not followed. A first rate that was given without
    knowing how loud the adapter is makes way for a faster one at once: the concentrator judged that by many frames.
    """
    row = Assignment.objects.filter(adapter=adapter).first()
    if row is None or row.concentrator_id is None:
        return False
    slowest = slots.slowest_rate(row.period_s, row.size)
    blind = row.level_dbm is None and row.data_rate == slowest < data_rate <= MAX_DATA_RATE
    if margin_db is not None:
        slots.note_margin(row, margin_db)
    if data_rate < slowest or not (blind or slots.propose(row, data_rate)):
        return False
    with audited(adapter.organisation):
        changed = slots.change_rate(actor, adapter, data_rate)
        refresh_configuration(adapter)
    return changed.version != row.version


def hear_echo(actor: Actor, adapter: Adapter, report: SlotReport, at: datetime) -> None:
    """What the adapter says of its slot; sent again where it runs one that we do not know."""
    with audited(adapter.organisation):
        if slots.echoed(actor, adapter, report, at):
            refresh_configuration(adapter)
