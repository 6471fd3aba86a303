"""What would make room at a concentrator, and for how many more adapters like those that it has."""

from dataclasses import dataclass
from typing import Final, Literal

from django.db.models import Count

from meterwire.lorawan.eu868 import EU868
from meterwire.slots import FRAME_S, MAX_DATA_RATE, length_ms
from provisioning.fleet.models import Concentrator
from provisioning.slots.closed_time import closed
from provisioning.slots.gaps import Gaps
from provisioning.slots.models import Assignment, SlotPlan
from provisioning.slots.services.plans import plan_of

GUARD_WITH_BEACON_MS: Final = 20  # 99.99 % of transmissions lie within (design 7)
BEACON_PERIOD_S: Final = 300
SECOND_READING: Final = 3  # bytes that one more reading takes in a telegram

Means = Literal["rate", "two_readings", "guard", "second"]


@dataclass(frozen=True, slots=True)
class Gain:
    """How many more adapters than now a concentrator could have.

    `kind`: "rate", everybody one data rate faster (better antennas); "two_readings", half as many telegrams with two
    readings each; "guard", guards of 20 ms, which takes a beacon; "second", another concentrator beside it.
    """

    kind: Means
    gains: int


@dataclass(frozen=True, slots=True)
class _Alike:
    count: int
    period_s: int
    size: int
    data_rate: int
    guard_ms: int

    def busy_ms(self, quantum_ms: int, *, size: int = 0, faster: int = 0, guard_ms: int | None = None) -> int:
        """On the air per day, guards included, with more bytes, a faster data rate or another guard."""
        rate, guard = min(self.data_rate + faster, MAX_DATA_RATE), self.guard_ms if guard_ms is None else guard_ms
        return length_ms(self.size + size, rate, guard, quantum_ms) * self.count * (86_400 // self.period_s)

    def halved_ms(self, quantum_ms: int) -> float:
        """The same with half as many telegrams of two readings each, for those that have room for a second one."""
        if self.size + SECOND_READING > EU868.data_rate(self.data_rate).max_app_payload:
            return self.busy_ms(quantum_ms)
        return self.busy_ms(quantum_ms, size=SECOND_READING) / 2


def what_makes_room(concentrator: Concentrator) -> list[Gain]:
    """The most first; without slots, nothing. The mix of data rates and periods is taken to stay as it is."""
    plan = plan_of(concentrator)
    figures = ("period_s", "size", "data_rate", "guard_ms")
    rows = Assignment.objects.filter(concentrator=concentrator).values_list(*figures).order_by(*figures)
    everybody = [_Alike(count, *group) for *group, count in rows.annotate(count=Count("pk"))]
    if not everybody:
        return []
    quantum_ms, slots, open_ms = plan.quantum_ms, sum(one.count for one in everybody), _open_ms(plan)
    period_s = plan.beacon_period_s or BEACON_PERIOD_S
    with_beacon = SlotPlan(
        quantum_ms=quantum_ms, reserve=plan.reserve, beacon_period_s=period_s, beacon_data_rate=plan.beacon_data_rate
    )
    busy_ms = sum(one.busy_ms(quantum_ms) for one in everybody)
    faster_ms = sum(one.busy_ms(quantum_ms, faster=1) for one in everybody)
    halved_ms = sum(one.halved_ms(quantum_ms) for one in everybody)
    closer_ms = sum(one.busy_ms(quantum_ms, guard_ms=min(one.guard_ms, GUARD_WITH_BEACON_MS)) for one in everybody)
    now = slots * open_ms / busy_ms
    then: dict[Means, float] = {
        "rate": slots * open_ms / faster_ms,
        "two_readings": slots * open_ms / halved_ms,
        "guard": slots * _open_ms(with_beacon) / closer_ms,
        "second": 2 * now,
    }
    gains = [Gain(kind, int(many - now)) for kind, many in then.items()]
    return sorted((gain for gain in gains if gain.gains > 0), key=lambda gain: -gain.gains)


def _open_ms(plan: SlotPlan) -> int:
    """The time for slots on all channels per day."""
    return Gaps(plan.quantum_ms, closed(plan)).free_ms * (86_400 // FRAME_S)
