"""The minutes that end with the reserve are open as a whole until somebody has a slot in them, and then never again."""

from importlib import import_module

import pytest
from django.apps import apps

from meterwire.slots import length_ms
from provisioning.fleet.models import Concentrator
from provisioning.pairing.models import Configuration
from provisioning.slots.allocator import Allocator
from provisioning.slots.closed_time import closed, open_now, open_time
from provisioning.slots.models import Assignment, SlotPlan
from provisioning.slots.services import assign, release
from provisioning.slots.services.opening import takes_minute
from tests.cast import STAGE, Cast

MINUTE, RESERVE = (300, 240_000, 60_000), (300, 292_500, 7_500)


def told(plan: SlotPlan) -> tuple[int, int, int] | None:
    record = open_now(plan)
    return None if record is None else (record.period_s, record.phase_ms, record.length_ms)


@pytest.fixture
def cellar(cast: Cast) -> Concentrator:
    return cast.concentrator()


def test_all_of_the_fifth_minute_is_open_until_it_is_taken() -> None:
    assert told(SlotPlan()) == told(SlotPlan(beacon_period_s=300)) == MINUTE
    assert told(SlotPlan(open_minute=False)) == RESERVE
    assert told(SlotPlan(beacon_period_s=60)) == RESERVE
    assert told(SlotPlan(reserve=0)) is None
    often = SlotPlan(reserve=200)
    assert open_now(often) == open_time(often)


@pytest.mark.parametrize(
    ("slot", "takes"),
    [
        ((239_900, 900, 100), False),
        ((239_900, 900, 101), True),
        ((540_000, 900, 100), True),
        ((600_000, 900, 100), False),
        ((0, 60, 100), True),
        ((60_000, 300, 100), False),
        ((86_100_000 + 59_000, 86_400, 100), False),
        ((86_399_000, 86_400, 100), True),
    ],
)
def test_a_slot_takes_it_when_it_ever_lies_there(slot: tuple[int, int, int], takes: bool) -> None:
    assert takes_minute(*slot) is takes


@pytest.mark.parametrize("data_rate", [0, 5])
def test_the_minute_is_given_last(data_rate: int) -> None:
    """Of six channels: the last two are shared by all lengths and minutes."""
    length, free = length_ms(16, data_rate, 60), 0
    allocator = Allocator(2, reserve=0, downlinks=closed(SlotPlan()))
    while not takes_minute(allocator.add(free, "c", length).phase_ms, 900, length):  # type: ignore[union-attr]
        free += 1
    assert free == 6 * 12 * (60_000 // length)


def test_the_first_slot_in_it_is_told_to_all_and_it_stays_so(cast: Cast, cellar: Concentrator) -> None:
    other = cast.adapter(cellar.site, cellar)
    cast.pairing(other)
    assert SlotPlan.objects.get(pk=cellar.pk).open_minute
    assert not Configuration.objects.get(adapter=other).stale
    adapter = cast.adapter(cellar.site, cellar)
    revision = Concentrator.objects.get(pk=cellar.pk).desired_revision
    assign(STAGE, adapter, period_s=60, data_rate=5)
    assert not SlotPlan.objects.get(pk=cellar.pk).open_minute
    assert Configuration.objects.get(adapter=other).stale
    assert Concentrator.objects.get(pk=cellar.pk).desired_revision == revision + 2, "the slot, and open time"
    release(STAGE, adapter)
    assert told(SlotPlan.objects.get(pk=cellar.pk)) == RESERVE


def test_slots_that_were_given_before_there_were_open_minutes_keep_theirs_closed(
    cast: Cast, cellar: Concentrator
) -> None:
    beside, empty = cast.concentrator(cellar.site), cast.concentrator(cellar.site)
    for one in (cellar, beside):
        assign(STAGE, cast.adapter(one.site, one), period_s=900, data_rate=5)
    SlotPlan.objects.get_or_create(concentrator=empty)
    Assignment.objects.filter(concentrator=beside).update(phase_ms=899_000)
    import_module("provisioning.slots.migrations.0009_open_minute").find_taken(apps, None)
    assert dict(SlotPlan.objects.values_list("pk", "open_minute")) == {
        cellar.pk: True, beside.pk: False, empty.pk: True,
    }  # fmt: skip
