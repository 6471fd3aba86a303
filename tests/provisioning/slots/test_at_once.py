"""A hundred pairings on one concentrator at the same moment: no time is given twice."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections

from provisioning.audit.queries import verify
from provisioning.pairing.services import pair
from provisioning.slots.models import Assignment, Occupancy
from tests.cast import STAGE, Cast
from tests.provisioning.slots.test_assigning import assert_nobody_meets

pytestmark = [pytest.mark.postgres, pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs PostgreSQL")]


def test_a_hundred_pairings_at_once_book_nothing_twice(transactional_cast: Cast) -> None:
    cast = transactional_cast
    assert connection.vendor == "postgresql"
    site = cast.site()
    cast.concentrator(site)
    jobs = [(cast.adapter(site), cast.metering_point(site)) for _ in range(100)]

    def work(number: int) -> None:
        try:
            pair(STAGE, *jobs[number])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(100)))
    assert Assignment.objects.filter(overlap_ms=0, concentrator__isnull=False).count() == 100
    assert Occupancy.objects.count() == 100
    assert_nobody_meets()
    assert verify(cast.organisation).broken is None
