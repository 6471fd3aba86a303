"""Fixtures of the pages' tests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from portal.web import certificates_due, keys_counts, pairings_counts, slot_incidents, slots_wrong
from portal.web.punctuality import hours
from portal.web.recency import recency
from portal.web.snapshot import snapshots
from provisioning.accounts.models import User
from tests.cast import Cast, cast
from tests.portal_web.world import World
from tests.support.passkey import arrive

__all__ = ["cast"]


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Facts that were counted in one test are not shown in the next."""
    modules = (pairings_counts, certificates_due, keys_counts, slot_incidents, slots_wrong)
    shelves = (snapshots, hours, recency, *(module.shelf for module in modules))
    for shelf in shelves:
        shelf.forget()
    cache.clear()
    yield
    for shelf in shelves:
        shelf.forget()


@pytest.fixture(autouse=True)
def quick_passwords(settings: Any) -> None:
    """A password is hashed a hundred thousand times; here once is enough."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def world(cast: Cast) -> World:
    return World(cast)


@pytest.fixture
def browse(db: None) -> Callable[[User | None], Client]:
    """A browser, logged in as somebody or (None) not at all."""

    def browser(user: User | None) -> Client:
        client = Client(headers={"accept-language": "en"})
        if user is not None:
            arrive(client, user)
        return client

    return browser
