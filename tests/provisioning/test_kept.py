"""A stage that is put back is the one that services made: the same rows, a sound chain, and life goes on after it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from time_machine import travel

from provisioning.accounts.models import Membership, Organisation
from provisioning.audit.models import Entry
from provisioning.audit.queries import verify
from tests.cast import Cast
from tests.support.kept import FRESH, kept

pytestmark = pytest.mark.django_db
NAME = "cast of a test"


def rows() -> list[Any]:
    return [list(table.objects.order_by("pk").values()) for table in (Organisation, Membership, Entry)]


def in_a_test(work: Callable[[], Any]) -> Any:
    """The result of `work`, whose rows are gone afterwards."""
    with transaction.atomic():
        result = work()
        transaction.set_rollback(True)
    return result


def again() -> Cast:
    raise AssertionError("it was made again")


@pytest.fixture
def made() -> tuple[Cast, list[Any]]:
    """A cast that was made anew and is gone, and what its rows were."""
    with travel(timezone.now() - 2 * FRESH):
        in_a_test(lambda: kept(NAME, Cast.assemble))
    return in_a_test(lambda: (kept(NAME, Cast.assemble), rows()))  # type: ignore[no-any-return]


def test_what_is_put_back_is_what_was_made(made: tuple[Cast, list[Any]]) -> None:
    cast, before = made
    assert rows() == [[], [], []]
    back = kept(NAME, again)
    assert rows() == before
    assert back == cast
    assert back.operator is back.home.people["operator"]
    assert back.operator is not cast.operator, "what a test changes in it is not in the next one"


def test_life_goes_on_after_it(made: tuple[Cast, list[Any]]) -> None:
    back = kept(NAME, again)
    count = Entry.objects.filter(organisation=back.organisation).count()
    back.pairing()
    assert Entry.objects.filter(organisation=back.organisation).count() > count
    verdict = verify(back.organisation)
    assert (verdict.broken, verdict.entries) == (None, Entry.objects.filter(organisation=back.organisation).count())


def test_what_is_old_or_was_made_with_other_keys_is_made_anew(made: tuple[Cast, list[Any]], settings: Any) -> None:
    old = made[0].organisation.slug
    with travel(timezone.now() + FRESH + timedelta(seconds=1)):
        assert in_a_test(lambda: kept(NAME, Cast.assemble)).organisation.slug != old
    fresh = in_a_test(lambda: kept(NAME, Cast.assemble)).organisation.slug
    assert in_a_test(lambda: kept(NAME, again)).organisation.slug == fresh
    settings.SECRET_KEY = "another " + settings.SECRET_KEY
    assert in_a_test(lambda: kept(NAME, Cast.assemble)).organisation.slug != fresh


def test_where_others_have_rows_already_nothing_is_kept() -> None:
    with travel(timezone.now() - 2 * FRESH):
        in_a_test(lambda: kept(NAME, Cast.assemble))
    Organisation.objects.create(name="Somebody", slug="somebody")
    first = kept(NAME, Cast.assemble)
    assert kept(NAME, Cast.assemble).organisation.slug != first.organisation.slug
