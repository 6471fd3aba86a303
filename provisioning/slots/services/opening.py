"""Open time shrinks to the reserve with the first slot that lies in the minute around it (closed_time.open_now)."""

import logging

from provisioning.fleet.desired import devices_changed
from provisioning.slots.allocator.grid import OPEN_MINUTE
from provisioning.slots.closed_time import is_closed, open_now
from provisioning.slots.models import SlotPlan
from provisioning.slots.signals import plan_changed

log = logging.getLogger(__name__)


def takes_minute(phase_ms: int, period_s: int, length_ms: int) -> bool:
    """Whether a slot lies in the minute that is open as a whole until somebody has one there."""
    return is_closed((OPEN_MINUTE,), phase_ms, period_s, length_ms)


def close_minute(plan: SlotPlan) -> None:
    """Somebody has a slot there now at the plan's concentrator, which is locked.

    The concentrator and all adapters there are told of it, bit by bit. Who has not heard yet may meet a slot with a
    question now and then; the concentrator answers in nobody's slot in any case. It stays so: a minute that comes and
    goes would have to be told to everybody each time.
    """
    if not plan.open_minute:
        return
    before = open_now(plan)
    plan.open_minute = False
    SlotPlan.objects.filter(pk=plan.pk).update(open_minute=False)
    if open_now(plan) != before:
        log.info("open time is the reserve from now on", extra={"concentrator": plan.pk})
        devices_changed(plan.pk, ())
        plan_changed.send(SlotPlan, plan=plan, actor=None)
