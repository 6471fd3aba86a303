"""What people may do to slots, as deeds (see tests.provisioning.deeds)."""

from typing import Any, Final

from provisioning.slots import services as slots
from tests.cast import STAGE, Cast
from tests.provisioning.deeds import DEEDS, Attempt, deed

__all__ = ["DEEDS"]
PLAN: Final[dict[str, Any]] = {"quantum_ms": 2, "guard_ms": 80, "reserve": 25, "previous": False}


@deed("fleet.edit")
def set_plan(cast: Cast) -> Attempt:
    concentrator = cast.concentrator()
    return lambda actor: slots.set_plan(actor, concentrator, **PLAN)


@deed("fleet.edit")
def assign(cast: Cast) -> Attempt:
    concentrator = cast.concentrator()
    adapter = cast.adapter(concentrator.site, concentrator)
    return lambda actor: slots.assign(actor, adapter, period_s=900, data_rate=5)


@deed("fleet.edit")
def assign_many(cast: Cast) -> Attempt:
    concentrator = cast.concentrator()
    adapters = [cast.adapter(concentrator.site, concentrator)]
    return lambda actor: slots.assign_many(
        actor, cast.organisation, adapters, period_s=900, size=16, data_rate=lambda _: 5
    )


@deed("fleet.edit")
def change_rate(cast: Cast) -> Attempt:
    concentrator = cast.concentrator()
    adapter = cast.adapter(concentrator.site, concentrator)
    slots.assign(STAGE, adapter, period_s=900, data_rate=5)
    return lambda actor: slots.change_rate(actor, adapter, 4)


@deed("fleet.edit")
def release(cast: Cast) -> Attempt:
    concentrator = cast.concentrator()
    adapter = cast.adapter(concentrator.site, concentrator)
    slots.assign(STAGE, adapter, period_s=900, data_rate=5)
    return lambda actor: slots.release(actor, adapter)
