"""Pairing gives slots and unpairing takes them back; slot and data rate change in one version of the configuration."""

from collections.abc import Mapping
from typing import Final

from django.db.models import Exists, OuterRef

from meterwire.slots import PERIODS, Kind
from provisioning.accounts.actors import Actor
from provisioning.fleet.models import Adapter
from provisioning.pairing.models import Pairing
from provisioning.slots import services as slots
from provisioning.slots.models import Assignment, SlotPlan

USUAL_PERIOD_S: Final = 900  # of an adapter that nobody told another one
SLOWEST: Final = 0
# Levels (dBm) from which on a data rate is heard with 10 dB to spare: sensitivity of SX1302 by spreading factor + 10.
_LEVELS: Final = ((5, -117.0), (4, -120.0), (3, -122.0), (2, -125.0), (1, -127.0))


def settle_slot(
    actor: Actor, adapter: Adapter, levels: Mapping[int, float] | None = None, *, recorded: bool = False,
    announced: bool = False,
) -> Assignment | None:  # fmt: skip
    """Bring the slot of `adapter` in line with its pairings, its concentrator and its period; no permission is asked.

    Belongs inside the transaction of the change, before refresh_configuration. `levels`: at which level (dBm) which
    concentrator heard it; the last two as for `slots.put`. A period that slots do not know leaves it without one,
    and so does a concentrator whose plan says that pairings get none.
    """
    paired = Exists(Pairing.objects.filter(adapter=OuterRef("pk"), to_at=None))
    rows = Adapter.objects.select_related("slot", "configuration", "concentrator__slot_plan")
    known = rows.annotate(paired=paired).get(pk=adapter.pk)
    held = getattr(known, "slot", None)
    period_s = getattr(getattr(known, "configuration", None), "period_s", None) or USUAL_PERIOD_S
    plan = getattr(known.concentrator, "slot_plan", None) or SlotPlan()
    ours = known.archived_at is None and known.kind == Adapter.Kind.METERSPAN and known.concentrator is not None
    if not known.paired or not ours or not plan.by_pairing or period_s not in PERIODS:
        slots.take_back(actor, adapter, held)
        return None
    size = (Kind.VALUES_PREVIOUS if plan.previous else Kind.VALUES).size
    rate = _rate(adapter, held, levels or {})
    return slots.put(
        actor, adapter, held, period_s=period_s, size=size, data_rate=rate, recorded=recorded, announced=announced
    )


def _rate(adapter: Adapter, held: Assignment | None, levels: Mapping[int, float]) -> int:
    """The data rate known so far here, else by the level here, else the slowest: it is always heard."""
    if held is not None and held.concentrator_id == adapter.concentrator_id:
        return held.data_rate
    level = levels.get(adapter.concentrator_id or 0)
    if level is None:
        return SLOWEST
    return next((rate for rate, least in _LEVELS if level >= least), SLOWEST)
