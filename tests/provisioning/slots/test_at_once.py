"""Many at the same moment, at one concentrator and at two that hear each other's: no time is given twice."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections

from provisioning.audit.queries import verify
from provisioning.fleet.models import Concentrator
from provisioning.pairing.services import pair
from provisioning.slots.models import Assignment, Neighbour, Occupancy
from provisioning.slots.services import assign, change_rate, heard_by, memory, release, site
from tests.cast import STAGE, Cast
from tests.provisioning.slots.day_judge import collisions
from tests.provisioning.slots.test_assigning import NOW, assert_nobody_meets

pytestmark = [pytest.mark.postgres, pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs PostgreSQL")]


def at_once(deed: Callable[[int], object], many: int) -> None:
    """Deeds 0 to before `many`, twenty at a time, each with a connection of its own."""

    def work(number: int) -> None:
        try:
            deed(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(many)))


def test_a_hundred_pairings_at_once_book_nothing_twice(transactional_cast: Cast) -> None:
    cast = transactional_cast
    assert connection.vendor == "postgresql"
    site = cast.site()
    cast.concentrator(site)
    jobs = [(cast.adapter(site), cast.metering_point(site)) for _ in range(100)]

    at_once(lambda number: pair(STAGE, *jobs[number]), 100)
    assert Assignment.objects.filter(overlap_ms=0, concentrator__isnull=False).count() == 100
    assert Occupancy.objects.count() == 100
    assert_nobody_meets()
    assert verify(cast.organisation).broken is None


def test_two_concentrators_that_hear_each_others_adapters_give_at_once_and_nobody_meets(
    transactional_cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two organisations at a time too, whose chains do not keep each other waiting, and from two processes."""
    cast = transactional_cast
    processes = threading.local()
    counter = itertools.count()

    class Each:
        """Every thread takes one of two memories, as if it belonged to one of two processes."""

        def __getattr__(self, name: str) -> Any:
            if not hasattr(processes, "memory"):
                processes.memory = kept[next(counter) % 2]
            return getattr(processes.memory, name)

    kept = [memory.Memory(), memory.Memory()]
    monkeypatch.setattr(site, "memory", Each())
    cellars: list[Concentrator] = []
    for company in (cast.home, cast.away):
        place = cast.site(company=company)
        cellars += [cast.concentrator(place) for _ in range(2)]
    adapters = [cast.adapter(cellars[n % 4].site, cellars[n % 4]) for n in range(80)]

    def work(number: int) -> None:
        adapter, beside = adapters[number], cellars[number % 4 ^ 1]
        if number % 3:
            heard_by(STAGE, adapter, beside, NOW, -105.0)
        assign(STAGE, adapter, period_s=(60, 300, 900, 3600)[number // 4 % 4], data_rate=number // 4 % 6)
        if number % 3 == 0:
            heard_by(STAGE, adapter, beside, NOW, -105.0)
        if number % 5 == 0:
            change_rate(STAGE, adapter, 3)
        if number % 7 == 0:
            release(STAGE, adapter)

    at_once(work, 80)
    assert Assignment.objects.filter(overlap_ms=0, concentrator__isnull=False).count() == 80 - 12
    assert Neighbour.objects.count() >= 60
    for cellar in cellars:
        assert collisions(cellar) == set()
