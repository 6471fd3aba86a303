"""A whole district at once, and one more adapter beside it: nobody meets, and nobody waits."""

from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from provisioning.fleet.models import Adapter
from provisioning.slots.models import Assignment, Occupancy, SlotPlan
from provisioning.slots.queries import conflicts, fullness, how_many_fit, in_closed_time, slot_map, what_makes_room
from provisioning.slots.services import assign, assign_many
from tests.cast import JOIN_EUI, STAGE, Cast
from tests.support.steps import within

MANY = 30_000
QUERIES = 300  # of the database, for all of them
FEW = 100_000  # lines of Python: what does not grow with them

pytestmark = pytest.mark.timeout(600)


def counted() -> None:
    """The database knows how full its tables are, as it does by itself a minute after they were filled.

    Where it takes them for empty still, because an earlier test has left them so, it plans joins that last for minutes.
    """
    with connection.cursor() as cursor:
        for table in (Adapter, Assignment, Occupancy):
            cursor.execute(f"ANALYZE {table._meta.db_table}")


@pytest.fixture
def district(cast: Cast) -> list[Adapter]:
    cellar = cast.concentrator()
    SlotPlan.objects.update_or_create(concentrator=cellar, defaults={"guard_ms": 20})
    Adapter.objects.bulk_create(
        (
            Adapter(
                organisation=cast.organisation,
                dev_eui=f"70b3d57ee{number:07x}",
                join_eui=JOIN_EUI,
                site=cellar.site,
                concentrator=cellar,
            )
            for number in range(MANY + 2)
        ),
        batch_size=2000,
    )
    counted()
    return list(Adapter.objects.filter(concentrator=cellar).order_by("pk"))


def test_thirty_thousand_at_once_and_one_more(cast: Cast, district: list[Adapter]) -> None:
    rates = (5, 5, 5, 5, 4, 3, 2)
    with CaptureQueriesContext(connection) as asked:
        given = assign_many(
            STAGE, cast.organisation, district[:MANY], period_s=900, size=16, data_rate=lambda one: rates[one.pk % 7]
        )
    assert given == MANY
    assert len(asked) < QUERIES
    counted()
    assign(STAGE, district[MANY], period_s=900, data_rate=5)
    within(FEW, lambda: assign(STAGE, district[MANY + 1], period_s=900, data_rate=5))

    by_channel: dict[int, list[tuple[int, int]]] = {}
    for channel, phase_ms, length_ms in Assignment.objects.values_list("channel", "phase_ms", "length_ms"):
        by_channel.setdefault(channel, []).append((phase_ms, phase_ms + length_ms))
    for frames in by_channel.values():
        frames.sort()
        assert all(one[1] <= other[0] for one, other in pairwise(frames))
    assert sum(map(len, by_channel.values())) == MANY + 2 == Occupancy.objects.filter(shared=False).count()

    cellar = district[0].concentrator
    assert cellar is not None
    assert len(within(FEW, lambda: slot_map(cellar))) == MANY + 2
    assert within(100 * MANY, lambda: how_many_fit(cellar))[5] > 10_000
    assert within(FEW, lambda: fullness(cellar)).slots == MANY + 2
    assert [gain.kind for gain in within(FEW, lambda: what_makes_room(cellar))] == ["second", "two_readings", "rate"]
    assert within(100 * MANY, lambda: (in_closed_time(cellar), list(conflicts(cellar)))) == ([], [])
