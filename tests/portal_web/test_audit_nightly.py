"""People who look after the audit see what the night found."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from portal.web import chain_broken
from provisioning.accounts.models import User
from provisioning.audit.models import Verification
from tests.cast import Cast

Browse = Callable[[User | None], Client]


@pytest.fixture(autouse=True)
def fresh_shelf() -> Iterator[None]:
    chain_broken.shelf.forget()
    yield
    chain_broken.shelf.forget()


def night(cast: Cast, *, days_ago: int = 0, broken: int | None = None) -> None:
    at = timezone.now() - timedelta(days=days_ago)
    Verification.objects.create(organisation=cast.organisation, at=at, entries=9, broken=broken)


def overview(browse: Browse, user: User) -> str:
    return browse(user).get("/incidents/").content.decode()


def test_a_broken_chain_is_an_incident_for_the_auditor(cast: Cast, browse: Browse) -> None:
    night(cast, broken=4)
    assert "The audit chain is broken" in overview(browse, cast.auditor)
    assert "broken at entry 4" in browse(cast.auditor).get("/audit/").content.decode()


def test_nobody_else_is_told(cast: Cast, browse: Browse) -> None:
    night(cast, broken=4)
    assert "audit chain" not in overview(browse, cast.operator)
    assert "audit chain" not in overview(browse, cast.outsider)


def test_nights_without_a_verification_are_told_too(cast: Cast, browse: Browse) -> None:
    night(cast, days_ago=3)
    assert "no longer verified every night" in overview(browse, cast.auditor)


def test_a_sound_night_is_no_incident(cast: Cast, browse: Browse) -> None:
    night(cast)
    assert "audit chain" not in overview(browse, cast.auditor)
    assert "Verified every night" in browse(cast.auditor).get("/audit/").content.decode()
