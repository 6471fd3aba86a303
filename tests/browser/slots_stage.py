"""A concentrator full of time slots, in a database of its own, and what happens there.

One slot in a hundred is not as it should be; every tenth belongs to an adapter that sends hourly or daily. One adapter
has drifted for weeks, one of a neighbour is heard and meets a slot here.
"""

from datetime import UTC, datetime, timedelta
from math import sin
from typing import Any

from tests.browser.stage import hashed

OPERATOR = "operator@lindenhof.example"
DAYS = 42
RATES = (5, 5, 5, 5, 5, 5, 5, 4, 4, 3)


def seed(count: int) -> dict[str, Any]:
    """Keys of what was made."""
    from provisioning.fleet.models import Adapter
    from provisioning.slots.models import Assignment
    from tests.cast import Cast
    from tests.portal_web.world import World

    world = World(Cast.assemble())
    world.cast.operator.email = OPERATOR
    world.cast.operator.password = hashed()
    world.cast.operator.save()
    Assignment.objects.all().delete()  # what pairing gave: only the slots below are meant
    give_slots(world, count)
    first, second = Assignment.objects.filter(concentrator=world.concentrator, period_s=900).order_by("pk")[:2]
    drifted(world, first)
    neighbour = a_neighbour(world, second)
    Adapter.objects.filter(pk=first.pk).update(location="cellar, left")
    return {
        "concentrator": world.concentrator.pk,
        "adapter": first.pk,
        "dev_eui": first.adapter.dev_eui,
        "others": list(
            Assignment.objects.filter(concentrator=world.concentrator, period_s=900, echoed_state=0, echoed_version=1)
            .exclude(pk__in=[first.pk, second.pk])
            .order_by("channel", "phase_ms")
            .values_list("pk", flat=True)[:10]
        ),
        "neighbour": neighbour,
        "slots": Assignment.objects.filter(concentrator=world.concentrator).count(),
    }


def give_slots(world: Any, count: int) -> None:
    """Adapters that the allocator found room for, written at once."""
    from meterwire.slots import Kind, length_ms
    from provisioning.fleet.models import Adapter
    from provisioning.slots.allocator import Allocator
    from provisioning.slots.closed_time import closed
    from provisioning.slots.models import Assignment, SlotPlan

    plan, _made = SlotPlan.objects.update_or_create(
        concentrator=world.concentrator, defaults={"guard_ms": 20, "beacon_period_s": 300}
    )
    allocator = Allocator(plan.quantum_ms, reserve=0, downlinks=closed(plan))
    devices = [
        Adapter(
            organisation=world.cast.organisation, site=world.site, concentrator=world.concentrator,
            dev_eui=f"70b3d57ee5{number:06x}", join_eui="70b3d57ed0000001", kind=Adapter.Kind.METERSPAN,
        )
        for number in range(count)
    ]  # fmt: skip
    made = Adapter.objects.bulk_create(devices, batch_size=500)
    rows = []
    for number, adapter in enumerate(made):
        rate, period = RATES[number % len(RATES)], 900 if number % 10 else (3600 if number % 20 else 86_400)
        length = length_ms(Kind.VALUES.size, rate, plan.guard_ms, plan.quantum_ms)
        place = allocator.add(number, 0, length, period)
        if place is None:
            break
        state = {7: Assignment.State.REFUSED, 57: Assignment.State.NO_TRUST}.get(number % 100, 0)
        rows.append(
            Assignment(
                adapter=adapter, organisation=world.cast.organisation, concentrator=world.concentrator,
                channel=place.channel, phase_ms=place.phase_ms, period_s=period, data_rate=rate,
                guard_ms=plan.guard_ms, length_ms=length, version=1,
                echoed_version=None if number % 50 == 3 else 1, echoed_state=state,
            )
        )  # fmt: skip
    Assignment.objects.bulk_create(rows, batch_size=500)


def drifted(world: Any, row: Any) -> None:
    """Six weeks in its slot, ever later, with some days on which nothing was measured."""
    from portal.telemetry.models import SlotDay
    from portal.telemetry.slots import marks

    today = datetime.now(UTC).date()
    days = [
        SlotDay(
            adapter=row.adapter, concentrator=world.concentrator, day=today - timedelta(days=back), version=1,
            guard_ms=row.guard_ms, inside=95, outside=0, expected=96, arrived=95, answers=2,
            early_ms=3 + sin(back), late_ms=4 + 0.3 * (DAYS - back), median_ms=0.2 * (DAYS - back) - 2,
            rate_ppb=12_300 + 90 * back, uncertainty_ms=6.5,
        )
        for back in range(DAYS) if not 20 <= back < 24
    ]  # fmt: skip
    for day in days:
        day.marks = marks(day)
    SlotDay.objects.bulk_create(days)


def a_neighbour(world: Any, row: Any) -> int:
    """An adapter of another concentrator whose slot meets `row`."""
    from provisioning.slots.models import Assignment, Neighbour, Occupancy

    other = world.cast.concentrator(world.site)
    adapter = world.cast.adapter(world.site, other)
    Assignment.objects.filter(pk=adapter.pk).delete()
    held = Assignment.objects.create(
        adapter=adapter, organisation=world.cast.organisation, concentrator=other, channel=row.channel,
        phase_ms=row.phase_ms + 10, period_s=900, data_rate=5, guard_ms=20, length_ms=108, version=1,
        echoed_version=1, echoed_state=0,
    )  # fmt: skip
    Occupancy.objects.create(
        assignment=held, concentrator=world.concentrator, first=0, last=1, begin=0, end=108, served=False
    )
    Neighbour.objects.create(
        adapter=adapter, concentrator=world.concentrator, rssi=-101, heard_at=world.now,
        expires_at=world.now + timedelta(days=1), conflict=True,
    )  # fmt: skip
    return int(adapter.pk)


def refused(adapter: int) -> None:
    """An adapter says that it cannot keep its slot; open pages are told as the bridge tells them."""
    from meterwire.config_records import SlotReport
    from provisioning.accounts.actors import System
    from provisioning.slots.models import Assignment
    from provisioning.slots.services import echoed

    row = Assignment.objects.select_related("adapter__concentrator").get(pk=adapter)
    report = SlotReport(row.version, Assignment.State.REFUSED, 0, 0)
    echoed(System("bridge"), row.adapter, report, datetime.now(UTC))
    _tell(row.adapter.organisation_id, "reading", adapter, row.concentrator_id)


def released(adapter: int) -> None:
    """A slot is free again, and the concentrator says that it knows."""
    from provisioning.fleet.models import Adapter
    from provisioning.slots.services import release
    from tests.cast import STAGE

    row = Adapter.objects.get(pk=adapter)
    release(STAGE, row)
    _tell(row.organisation_id, "concentrator", None, row.concentrator_id)


def elsewhere(adapter: int) -> None:
    """Another concentrator than the adapter's says something."""
    from provisioning.fleet.models import Adapter

    row = Adapter.objects.get(pk=adapter)
    assert row.concentrator_id is not None
    _tell(row.organisation_id, "concentrator", None, row.concentrator_id + 1000)


def _tell(organisation: int, kind: str, adapter: int | None, concentrator: int | None) -> None:
    from portal.telemetry.live import Changes, tell

    changes = Changes()
    changes.add(organisation, kind, adapter, concentrator, datetime.now(UTC).isoformat())
    tell(changes)
