"""The pages of approvals: what waits for whom, deciding, taking back, and what nobody can do there."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from provisioning.accounts.models import Role, User
from provisioning.accounts.services import add_member
from provisioning.approvals.models import Approval
from provisioning.approvals.services import request
from tests.cast import STAGE, Cast

Browse = Callable[[User | None], Client]


@pytest.fixture
def second(cast: Cast) -> User:
    return add_member(STAGE, cast.organisation, "second@example.org", Role.CUSTODIAN).user


@pytest.fixture
def asked(cast: Cast) -> Approval:
    return request(cast.custodian, cast.organisation, "key.reveal", "devicekey 12", "Reveal a join key", "File damaged")


def page(client: Client, name: str = "approvals", *arguments: int) -> str:
    return str(client.get(reverse(name, args=arguments)).content.decode())


def decide(client: Client, row: Approval, **data: str) -> Any:
    return client.post(reverse("approval", args=[row.pk]), data, follow=True)


def state_of(row: Approval) -> str:
    return Approval.objects.get(pk=row.pk).state


def test_a_request_waits_for_the_others_and_not_for_who_asked(
    asked: Approval, cast: Cast, second: User, browse: Browse
) -> None:
    theirs, own = page(browse(second)), page(browse(cast.custodian))
    assert "Look at it: Reveal a join key" in theirs
    assert "Look at it" not in own
    assert "Withdraw: Reveal a join key" in own
    assert '<span class="n w">1</span>' in theirs
    assert '<span class="n w">' not in own


def test_it_is_approved_by_another_custodian(asked: Approval, second: User, browse: Browse) -> None:
    assert "may use it within one hour" in decide(browse(second), asked, decision="approve").content.decode()
    assert state_of(asked) == "approved"


def test_it_is_refused_with_a_reason_and_not_without(asked: Approval, second: User, browse: Browse) -> None:
    client = browse(second)
    assert "This field is required" in decide(client, asked, decision="refuse", reason="").content.decode()
    assert state_of(asked) == "pending"
    decide(client, asked, decision="refuse", reason="Ask the supplier first")
    assert state_of(asked) == "refused"
    assert "Ask the supplier first" in page(client)


def test_nobody_decides_their_own_request_on_the_page_either(asked: Approval, cast: Cast, browse: Browse) -> None:
    client = browse(cast.custodian)
    assert "another key custodian has to decide it" in page(client, "approval", asked.pk)
    assert "Nobody decides their own request" in decide(client, asked, decision="approve").content.decode()
    assert state_of(asked) == "pending"


def test_the_second_of_two_is_told_that_somebody_was_quicker(
    asked: Approval, cast: Cast, second: User, browse: Browse
) -> None:
    third = add_member(STAGE, cast.organisation, "third@example.org", Role.CUSTODIAN).user
    decide(browse(second), asked, decision="refuse", reason="No")
    assert "does not wait any more" in decide(browse(third), asked, decision="approve").content.decode()
    assert state_of(asked) == "refused"


def test_a_request_is_taken_back_by_who_asked_only(asked: Approval, cast: Cast, second: User, browse: Browse) -> None:
    withdraw = reverse("approval-withdraw", args=[asked.pk])
    assert browse(second).post(withdraw).status_code == 404
    assert "Your request is withdrawn" in browse(cast.custodian).post(withdraw, follow=True).content.decode()
    assert "not open any more" in browse(cast.custodian).post(withdraw, follow=True).content.decode()
    assert state_of(asked) == "withdrawn"


def test_a_request_of_yesterday_has_lapsed(asked: Approval, second: User, browse: Browse) -> None:
    with time_machine.travel(timezone.now() + timedelta(hours=25), tick=False):
        client = browse(second)
        text = page(client)
        assert "Nothing waits for you" in text
        assert "lapsed" in text
        assert "Refuse" not in page(client, "approval", asked.pk)


def test_whoever_sees_keys_sees_who_allowed_what(asked: Approval, cast: Cast, second: User, browse: Browse) -> None:
    decide(browse(second), asked, decision="approve")
    text = page(browse(cast.auditor))
    assert "Reveal a join key" in text
    assert "second@example.org" in text
    assert "Waiting for you" not in text


def test_a_long_list_takes_no_more_queries_than_a_short_one(
    asked: Approval, cast: Cast, second: User, browse: Browse
) -> None:
    client = browse(second)
    page(client)  # what is counted for the navigation is kept from here on
    with CaptureQueriesContext(connection) as few:
        page(client)
    for number in range(5):
        request(cast.operator, cast.organisation, "key.rotate", f"site {number}", "Rotate a site", "Planned")
    with CaptureQueriesContext(connection) as many:
        assert "Rotate a site" in page(client)
    assert len(many) <= len(few)
