"""Which slots end the open minute, and who is told of it then."""

import pytest

from provisioning.fleet.models import Concentrator
from provisioning.pairing.models import Configuration
from provisioning.slots.models import SlotPlan
from provisioning.slots.services import assign
from provisioning.slots.services.opening import takes_minute
from tests.cast import STAGE, Cast


@pytest.mark.parametrize(
    ("slot", "takes"),
    [
        ((239_900, 900, 100), False),
        ((239_900, 900, 101), True),
        ((540_000, 900, 100), True),
        ((600_000, 900, 100), False),
        ((0, 60, 100), True),
        ((60_000, 300, 100), False),
        ((86_159_000, 86_400, 100), False),
        ((86_399_000, 86_400, 100), True),
    ],
)
def test_a_slot_takes_it_when_it_ever_lies_there(slot: tuple[int, int, int], takes: bool) -> None:
    assert takes_minute(*slot) is takes


def test_concentrator_and_adapters_are_told_by_way_of_their_table_and_configurations(cast: Cast) -> None:
    cellar = cast.concentrator()
    other = cast.adapter(cellar.site, cellar)
    cast.pairing(other)
    assert SlotPlan.objects.get(pk=cellar.pk).open_minute
    assert not Configuration.objects.get(adapter=other).stale
    adapter = cast.adapter(cellar.site, cellar)
    revision = Concentrator.objects.get(pk=cellar.pk).desired_revision
    assign(STAGE, adapter, period_s=60, data_rate=5)
    assert Configuration.objects.get(adapter=other).stale
    assert Concentrator.objects.get(pk=cellar.pk).desired_revision == revision + 2, "the slot, and open time"
