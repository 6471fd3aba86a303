"""Whatever comes, goes, changes and is heard, in whatever order: no frame of a day meets another one unasked."""

import random

import pytest
from django.utils import timezone

from meterwire.slots import PERIODS
from provisioning.fleet.models import Adapter
from provisioning.slots.models import Assignment, Occupancy, SlotPlan
from provisioning.slots.services import assign, change_rate, heard_by, release
from tests.cast import STAGE, Cast
from tests.provisioning.slots.day_judge import collisions, in_open_time

STEPS = 120


@pytest.mark.parametrize("seed", range(3))
def test_no_order_of_events_lets_two_meet_or_moves_a_third(cast: Cast, seed: int) -> None:
    luck = random.Random(seed)
    site = cast.site()
    cellars = [cast.concentrator(site) for _ in range(3)]
    SlotPlan.objects.filter(concentrator=cellars[0]).delete()
    SlotPlan.objects.create(concentrator=cellars[0], guard_ms=2000, quantum_ms=10)
    free = [cast.adapter(site, luck.choice(cellars)) for _ in range(70)]
    held: list[Adapter] = []
    for _ in range(STEPS):
        before = {row.pk: (row.concentrator_id, row.channel, row.phase_ms) for row in Assignment.objects.all()}
        deed = luck.choice(("assign", "assign", "assign", "release", "rate", "hear", "hear"))
        if deed == "assign" and free:
            adapter = free.pop(luck.randrange(len(free)))
            assign(STAGE, adapter, period_s=luck.choice(PERIODS), data_rate=luck.randrange(6))
            held.append(adapter)
        elif held:
            adapter = luck.choice(held)
            if deed == "release":
                release(STAGE, adapter)
                held.remove(adapter)
                free.append(adapter)
            elif deed == "rate":
                change_rate(STAGE, adapter, luck.randrange(6))
            else:
                heard_by(STAGE, adapter, luck.choice(cellars), timezone.now(), -110.0)
        else:
            continue
        after = {row.pk: (row.concentrator_id, row.channel, row.phase_ms) for row in Assignment.objects.all()}
        assert {pk for pk in before if after[pk] != before[pk]} <= {adapter.pk}
    for cellar in cellars:
        assert collisions(cellar) == set()
    rows = Assignment.objects.filter(concentrator__isnull=False, overlap_ms=0)
    assert rows.count() > 20
    assert not any(in_open_time(row) for row in rows)
    assert set(Occupancy.objects.filter(served=True).values_list("assignment", flat=True)) == {a.pk for a in held}


def test_the_judge_finds_what_meets(cast: Cast) -> None:
    cellar = cast.concentrator()
    one, other = (cast.adapter(cellar.site, cellar) for _ in range(2))
    row = assign(STAGE, one, period_s=86_400, data_rate=5)
    assert collisions(cellar) == set()
    Assignment.objects.create(
        adapter=other, organisation=cellar.organisation, concentrator=cellar, channel=row.channel, period_s=60,
        phase_ms=row.phase_ms % 60_000 + row.length_ms - 1, length_ms=20, version=1,
    )  # fmt: skip
    assert collisions(cellar) == {(one.pk, other.pk)}
    assert in_open_time(Assignment(phase_ms=52_499, period_s=60, length_ms=2))
