"""Fixtures of the pages' tests."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from portal.web import (
    certificates_due,
    chain_broken,
    keys_counts,
    pairings_counts,
    punctuality,
    slot_incidents,
    slots_wrong,
)
from portal.web.recency import recency
from portal.web.snapshot import snapshots
from provisioning.accounts.models import User
from tests.cast import Cast
from tests.portal_web.world import World
from tests.support.kept import kept
from tests.support.passkey import arrive


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Facts that were counted in one test are not shown in the next."""
    modules = (pairings_counts, certificates_due, chain_broken, keys_counts, slot_incidents, slots_wrong)
    shelves = (snapshots, punctuality.hours, punctuality.hours_behind, recency, *(module.shelf for module in modules))

    def forget() -> None:
        for shelf in shelves:
            shelf.forget()
        punctuality._past.clear()

    forget()
    cache.clear()
    yield
    for thread in threading.enumerate():
        if thread.name == "snapshot":  # makes something for a shelf
            thread.join()
    forget()


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """A password is hashed a hundred thousand times; here once is enough."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def world(db: None) -> World:
    return kept("world", lambda: World(Cast.assemble())).awake()


@pytest.fixture
def cast(request: pytest.FixtureRequest, db: None) -> Cast:
    """The people of the world, where a test wants both."""
    if "world" in request.fixturenames:
        world: World = request.getfixturevalue("world")
        return world.cast
    return kept("cast", Cast.assemble)


@pytest.fixture
def browse(db: None) -> Callable[[User | None], Client]:
    """A browser, logged in as somebody or (None) not at all."""

    def browser(user: User | None) -> Client:
        client = Client(headers={"accept-language": "en"})
        if user is not None:
            arrive(client, user)
        return client

    return browser
