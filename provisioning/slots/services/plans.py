"""How time is divided at a concentrator."""

from django.utils.translation import gettext as _

from meterwire.slots import MAX_GUARD_MS, QUANTA_MS
from provisioning import changes
from provisioning.accounts.actors import Actor
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict, Invalid
from provisioning.fleet.access import require_at
from provisioning.fleet.models import Concentrator
from provisioning.slots.models import Assignment, SlotPlan

MAX_RESERVE = 500


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
) -> SlotPlan:
    """Set quantum (ms), guard (ms, on either side), reserve (thousandths), whether telegrams carry the last value, and
    whether pairings from now on get a slot here.

    What runs is not moved: guard and size hold for slots given from now on. Conflict for another quantum while there
    are slots, because they lie on the grid of the old one.
    """
    require_at(actor, concentrator.organisation_id, concentrator.site_id, "fleet.edit")
    if quantum_ms not in QUANTA_MS:
        raise Invalid("quantum_ms", _("A quantum is 2, 3, 4, 5, 6, 8 or 10 ms."))
    if not 0 <= guard_ms <= MAX_GUARD_MS:
        raise Invalid("guard_ms", _("A guard is 0 to {limit} ms.").format(limit=MAX_GUARD_MS))
    if not 0 <= reserve <= MAX_RESERVE:
        raise Invalid("reserve", _("The reserve is 0 to {limit} thousandths.").format(limit=MAX_RESERVE))
    with audited(concentrator.organisation):
        plan, _made = SlotPlan.objects.select_for_update().get_or_create(concentrator=concentrator)
        if plan.quantum_ms != quantum_ms and Assignment.objects.filter(concentrator=concentrator).exists():
            raise Conflict(_("Slots lie on the grid of the present quantum; release them before you change it."))
        values = {
            "quantum_ms": quantum_ms, "guard_ms": guard_ms, "reserve": reserve, "previous": previous,
            "by_pairing": by_pairing,
        }  # fmt: skip
        if changed := changes.apply(plan, **values):
            record(concentrator.organisation, actor, "slot_plan.updated", concentrator, changed)
    return plan
