"""Pairing gives slots and unpairing takes them back; slot and data rate change in one version of the configuration."""

from collections.abc import Mapping
from typing import Final

from django.db.models import Exists, OuterRef, Q, QuerySet

from meterwire.config_records import SlotRecord
from meterwire.slots import PERIODS
from provisioning.accounts.actors import Actor
from provisioning.fleet.models import Adapter
from provisioning.pairing.models import Configuration, Pairing
from provisioning.pairing.services.telegram_size import telegram_size
from provisioning.slots import services as slots
from provisioning.slots.models import Assignment, SlotPlan

USUAL_PERIOD_S: Final = 900  # of an adapter that nobody told another one
SLOWEST: Final = 0
# Levels (dBm) from which on a data rate is heard with 10 dB to spare: sensitivity of SX1302 by spreading factor + 10.
_LEVELS: Final = ((5, -117.0), (4, -120.0), (3, -122.0), (2, -125.0), (1, -127.0))


def settle_slot(
    actor: Actor, adapter: Adapter, levels: Mapping[int, float] | None = None, *, recorded: bool = False,
    announced: bool = False, let_go: bool = False,
) -> Assignment | None:  # fmt: skip
    """Bring the slot of `adapter` in line with its pairings, its concentrator and its period; no permission is asked.

    Belongs inside the transaction of the change, before refresh_configuration. `levels`: at which level (dBm) which
    concentrator heard it; `recorded` and `announced` as for `slots.put`. A period that slots do not know leaves it
    without one, and so do a concentrator whose plan says that pairings get none, and a firmware that refused the record
    of its slot. One that is not paired keeps the slot that it was imported with, unless a pairing ends (`let_go`).
    """
    paired = Exists(Pairing.objects.filter(adapter=OuterRef("pk"), to_at=None))
    rows = Adapter.objects.select_related("slot", "configuration", "concentrator__slot_plan")
    known = rows.annotate(paired=paired).get(pk=adapter.pk)
    held: Assignment | None = getattr(known, "slot", None)
    plan, period_s, serving = _plan(known), period_of(known), known.concentrator
    waits = held is not None and serving is not None and held.concentrator_id == serving.pk and not let_go
    if not (known.paired or waits) or serving is None or not takes_slots(known):
        slots.take_back(actor, adapter, held)
        return None
    adapter.concentrator = serving  # the caller may have read it before it was moved
    size = telegram_size(known, previous=plan.previous)
    level = (levels or {}).get(serving.pk)
    rate = first_rate(level)
    if held is not None and held.concentrator_id == serving.pk:
        # Who needs less than before, because an input is no longer paired, is not moved for that.
        rate, size = held.data_rate, max(size, held.size) if held.period_s == period_s else size
    rate = max(rate, slots.slowest_rate(period_s, size))
    given = slots.put(
        actor, adapter, held, period_s=period_s, size=size, data_rate=rate, level_dbm=level, recorded=recorded,
        announced=announced,
    )  # fmt: skip
    if plan.open_minute:  # which this slot may have ended: the configuration has to tell what holds from now on
        current = slots.plan_of(serving)
        current.concentrator = serving  # Django then has it as serving.slot_plan, where the configuration looks
    given.concentrator = serving  # with its plan, which the configuration wants too
    return given


def takes_slots(adapter: Adapter) -> bool:
    """Whether a pairing gives this adapter a slot where it stands now, or under the concentrator that it gets."""
    configuration: Configuration | None = getattr(adapter, "configuration", None)
    ours = adapter.archived_at is None and adapter.kind == Adapter.Kind.METERSPAN
    knows = configuration is None or configuration.knows(SlotRecord.type)
    return ours and knows and period_of(adapter) in PERIODS and _plan(adapter).by_pairing


def without_slot() -> QuerySet[Adapter]:
    """Adapters that settle_slot gives one though nothing of theirs changes: moved here, or slots were off until now."""
    paired = Exists(Pairing.objects.filter(adapter=OuterRef("pk"), to_at=None))
    rows = Adapter.objects.filter(paired, archived_at=None, kind=Adapter.Kind.METERSPAN, concentrator__isnull=False)
    rows = rows.filter(Q(slot=None) | Q(slot__concentrator=None))
    rows = rows.exclude(concentrator__slot_plan__by_pairing=False)
    usual = Q(configuration=None) | Q(configuration__period_s=None) | Q(configuration__period_s__in=PERIODS)
    return rows.filter(usual).exclude(configuration__unknown_from__lte=SlotRecord.type).order_by("pk")


def period_of(adapter: Adapter) -> int:
    """Seconds between regular telegrams as its `configuration` says."""
    configuration: Configuration | None = getattr(adapter, "configuration", None)
    return (configuration and configuration.period_s) or USUAL_PERIOD_S


def first_rate(level_dbm: float | None) -> int:
    """The data rate for a level at the concentrator; for an unknown one the slowest, which is always heard."""
    if level_dbm is None:
        return SLOWEST
    return next((rate for rate, least in _LEVELS if level_dbm >= least), SLOWEST)


def _plan(adapter: Adapter) -> SlotPlan:
    return getattr(adapter.concentrator, "slot_plan", None) or SlotPlan()
