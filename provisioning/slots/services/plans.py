"""How time is divided at a concentrator."""

from django.utils.translation import gettext as _

from meterwire.slots import MAX_DATA_RATE, MAX_GUARD_MS, QUANTA_MS
from provisioning import changes
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.desired import devices_changed
from provisioning.fleet.models import Concentrator
from provisioning.slots.closed_time import closed, is_closed
from provisioning.slots.models import BEACON_PERIODS, Assignment, SlotPlan
from provisioning.slots.signals import plan_changed

MAX_RESERVE = 500
_TOLD = ("reserve", "beacon_period_s", "beacon_data_rate", "previous")  # what adapters and concentrator have to know


def plan_of(concentrator: Concentrator) -> SlotPlan:
    """The plan; where none was set, an unsaved one with the usual figures."""
    return SlotPlan.objects.filter(pk=concentrator.pk).first() or SlotPlan(concentrator=concentrator)


def set_plan(
    actor: Actor,
    concentrator: Concentrator,
    *,
    quantum_ms: int,
    guard_ms: int,
    reserve: int,
    previous: bool,
    by_pairing: bool = True,
    beacon_period_s: int | None = None,
    beacon_data_rate: int | None = None,
) -> SlotPlan:
    """Set quantum (ms), guard (ms, on either side), reserve (thousandths), whether telegrams carry the last value,
    whether pairings from now on get a slot here, and period (s, 0: none) and data rate of the beacon (None: as it is).

    What runs is not moved: guard and size hold for slots given from now on, and slots that lie in newly closed time
    stay (queries.in_closed_time). Conflict for another quantum while there are slots, because they lie on the grid of
    the old one.
    """
    require_at(actor, concentrator.organisation_id, concentrator.site_id, "fleet.edit")
    if quantum_ms not in QUANTA_MS:
        raise Invalid("quantum_ms", _("A quantum is 2, 3, 4, 5, 6, 8 or 10 ms."))
    if not 0 <= guard_ms <= MAX_GUARD_MS:
        raise Invalid("guard_ms", _("A guard is 0 to {limit} ms.").format(limit=MAX_GUARD_MS))
    if not 0 <= reserve <= MAX_RESERVE:
        raise Invalid("reserve", _("The reserve is 0 to {limit} thousandths.").format(limit=MAX_RESERVE))
    if beacon_period_s is not None and beacon_period_s not in BEACON_PERIODS:
        raise Invalid("beacon_period_s", _("A beacon is sent every 60, 300 or 900 s; 0 for none."))
    if beacon_data_rate is not None and not 0 <= beacon_data_rate <= MAX_DATA_RATE:
        raise Invalid("beacon_data_rate", _("A beacon's data rate is 0 to {limit}.").format(limit=MAX_DATA_RATE))
    with audited(concentrator.organisation):
        plan, _made = SlotPlan.objects.select_for_update().get_or_create(concentrator=concentrator)
        if plan.quantum_ms != quantum_ms and Assignment.objects.filter(concentrator=concentrator).exists():
            raise Conflict(_("Slots lie on the grid of the present quantum; release them before you change it."))
        values = {
            "quantum_ms": quantum_ms, "guard_ms": guard_ms, "reserve": reserve, "previous": previous,
            "by_pairing": by_pairing,
        }  # fmt: skip
        if beacon_period_s is not None:
            values["beacon_period_s"] = beacon_period_s
        if beacon_data_rate is not None:
            values["beacon_data_rate"] = beacon_data_rate
        before = closed(plan)
        if changed := changes.apply(plan, **values):
            facts = changed if closed(plan) == before else {**changed, "in_closed_time": _in_closed_time(plan)}
            record(concentrator.organisation, actor, "slot_plan.updated", concentrator, facts)
            if changed.keys() & set(_TOLD):
                devices_changed(concentrator.pk, ())
                plan_changed.send(SlotPlan, plan=plan, actor=actor)
    return plan


def _in_closed_time(plan: SlotPlan) -> int:
    parts, rows = closed(plan), Assignment.objects.filter(concentrator=plan.pk)
    return sum(is_closed(parts, *row) for row in rows.values_list("phase_ms", "period_s", "length_ms"))
