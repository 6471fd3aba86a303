"""The number of queries does not grow with the fleet."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portal.web import pairings_counts
from portal.web.snapshot import snapshots
from provisioning.accounts.models import User
from tests.portal_web.world import World

Browse = Callable[[User | None], Client]

# page -> the most queries it may take, the session, the user and the facts for the navigation included
BUDGETS = {
    "/": 17,
    "/incidents/": 16,
    "/sites/": 17,
    "/adapters/": 19,
    "/adapters/?state=silent": 21,
    "/adapters/?state=never": 19,
    "/adapters/?sort=last": 21,
    "/adapters/?q=1EMH": 22,
    "/pairings/": 20,
    "/pairings/?state=all&q=1EMH": 23,
    "/pairings/?state=mismatch": 20,
    "/archive/": 17,
    "/concentrators/": 17,
    "/readings/": 20,
    "/readings/?q=Flat": 24,
    "/audit/": 18,
    "/tokens/": 19,
}


def count(client: Client, url: str) -> int:
    snapshots.forget()
    pairings_counts.shelf.forget()
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return len(queries)


def test_a_list_stays_within_its_budget_however_long_it_is(world: World, browse: Browse) -> None:
    client = browse(world.cast.owner)
    world.heard()
    before = {url: count(client, url) for url in BUDGETS}
    for number in range(6):
        site = world.cast.site()
        for _ in range(3):
            adapter, _pairing = world.paired_adapter(site)
            if number % 3 == 0:
                world.silent(adapter)
            elif number % 3 == 1:
                world.heard(adapter)
    for url, budget in BUDGETS.items():
        after = count(client, url)
        assert after <= budget, f"{url}: {after} queries"
        assert after <= before[url] + 2, f"{url}: {before[url]} queries for one adapter, {after} for nineteen"


@pytest.mark.parametrize(("name", "budget"), [("site", 22), ("concentrator", 19), ("adapter", 27), ("pairing", 24)])
def test_a_page_of_one_thing_stays_within_its_budget(name: str, budget: int, world: World, browse: Browse) -> None:
    client = browse(world.cast.owner)
    world.readings(list(range(1000, 3000, 100)))
    world.heard()
    for counter in range(10):
        world.telegram(counter)
        world.telegram(counter, error="tag_mismatch")
    rows = {"site": world.site, "concentrator": world.concentrator, "pairing": world.pairing}
    row = rows.get(name, world.adapter)
    assert count(client, reverse(name, args=[row.pk])) <= budget
