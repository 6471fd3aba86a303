"""The second pair of eyes: who asks, who decides, how long it holds, and that nobody decides their own request."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.utils import timezone

from provisioning.accounts.actors import Actor
from provisioning.accounts.models import Role, User
from provisioning.accounts.services import add_member, create_token
from provisioning.approvals import queries
from provisioning.approvals.models import Approval
from provisioning.approvals.services import MAX_OPEN, approve, refuse, request, use, withdraw
from provisioning.audit.models import Entry
from provisioning.audit.queries import verify
from provisioning.errors import Conflict, Forbidden, Invalid
from tests.cast import STAGE, Cast

DEED, SUBJECT = "key.reveal", "devicekey 12"


@pytest.fixture
def second(cast: Cast) -> User:
    """Another custodian."""
    return colleague(cast)


def colleague(cast: Cast, name: str = "second") -> User:
    return add_member(STAGE, cast.organisation, f"{name}@example.org", Role.CUSTODIAN).user


def ask(cast: Cast, actor: Actor | None = None, subject: str = SUBJECT) -> Approval:
    actor = actor or cast.custodian
    return request(actor, cast.organisation, DEED, subject, "Reveal the root key of an adapter", "Supplier lost it")


def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    moved = timezone.now() + by
    monkeypatch.setattr("django.utils.timezone.now", lambda: moved)


def spend(cast: Cast, actor: Actor | None = None, deed: str = DEED, subject: str = SUBJECT) -> Approval:
    return use(actor or cast.custodian, cast.organisation, deed, subject)


def test_what_a_second_person_approved_is_used_once_by_who_asked(cast: Cast, second: User) -> None:
    asked = ask(cast)
    assert list(queries.waiting(second, cast.organisation)) == [asked]
    approve(second, asked)
    used = spend(cast)
    assert (used.pk, used.state, used.decided_by) == (asked.pk, Approval.State.USED, second)
    with pytest.raises(Conflict, match="fresh approval of a second person"):
        spend(cast)
    actions = [entry.action for entry in Entry.objects.filter(organisation=cast.organisation, object_type="approval")]
    assert actions == ["approval.requested", "approval.approved", "approval.used"]
    assert verify(cast.organisation).broken is None


def test_nobody_decides_their_own_request(cast: Cast) -> None:
    asked = ask(cast)
    with pytest.raises(Forbidden, match="Nobody decides their own request"):
        approve(cast.custodian, asked)
    with pytest.raises(Forbidden, match="Nobody decides their own request"):
        refuse(cast.custodian, asked, "I think not")
    assert list(queries.waiting(cast.custodian, cast.organisation)) == []


@pytest.mark.parametrize("state", [Approval.State.APPROVED, Approval.State.REFUSED, Approval.State.USED])
def test_the_database_itself_refuses_a_decision_by_who_asked(state: str, cast: Cast) -> None:
    asked = ask(cast)
    with pytest.raises(IntegrityError), transaction.atomic():
        Approval.objects.filter(pk=asked.pk).update(state=state, decided_by=cast.custodian)


def test_the_second_of_two_who_decide_is_told_that_somebody_was_quicker(cast: Cast, second: User) -> None:
    asked = ask(cast)
    seen_by_one, seen_by_the_other = (Approval.objects.get(pk=asked.pk) for _ in range(2))
    approve(second, seen_by_one)
    with pytest.raises(Conflict, match="does not wait any more"):
        refuse(colleague(cast, "third"), seen_by_the_other, "No")
    asked.refresh_from_db()
    assert (asked.state, asked.decided_by) == (Approval.State.APPROVED, second)


@pytest.mark.postgres
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs PostgreSQL")
def test_of_two_approvers_at_the_same_moment_one_wins(transactional_cast: Cast) -> None:
    cast = transactional_cast
    asked = ask(cast)
    people = [colleague(cast, name) for name in ("second", "third")]
    start = Barrier(2)

    def decide(person: User) -> str:
        try:
            start.wait(10)
            approve(person, Approval.objects.get(pk=asked.pk))
        except Conflict:
            return "late"
        finally:
            connections.close_all()
        return "won"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(decide, people)) == ["late", "won"]
    assert Entry.objects.filter(action="approval.approved").count() == 1
    assert connection.vendor == "postgresql"


@pytest.mark.parametrize(
    ("deed", "subject"), [(DEED, "devicekey 13"), ("key.rewrap", SUBJECT)], ids=["another key", "another deed"]
)
def test_an_approval_holds_for_its_deed_and_subject_only(deed: str, subject: str, cast: Cast, second: User) -> None:
    approve(second, ask(cast))
    with pytest.raises(Conflict):
        spend(cast, deed=deed, subject=subject)


def test_an_approval_is_of_no_use_to_somebody_else_or_elsewhere(cast: Cast, second: User) -> None:
    approve(second, ask(cast))
    with pytest.raises(Conflict):
        spend(cast, second)
    add_member(STAGE, cast.away.organisation, cast.custodian.email, Role.CUSTODIAN)
    with pytest.raises(Conflict):
        use(cast.custodian, cast.away.organisation, DEED, SUBJECT)


def test_an_approval_is_fresh_for_one_hour(cast: Cast, second: User, monkeypatch: pytest.MonkeyPatch) -> None:
    approve(second, ask(cast))
    later(monkeypatch, timedelta(minutes=61))
    with pytest.raises(Conflict):
        spend(cast)
    assert queries.usable(cast.custodian, cast.organisation, DEED, SUBJECT) is None


def test_a_request_lapses_after_a_day_and_makes_room_for_a_new_one(
    cast: Cast, second: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask(cast)
    with pytest.raises(Conflict, match="asked for this already"):
        ask(cast)
    later(monkeypatch, timedelta(hours=25))
    with pytest.raises(Conflict):
        approve(second, asked)
    assert list(queries.waiting(second, cast.organisation)) == []
    assert ask(cast).state == Approval.State.PENDING


def test_a_refusal_has_a_reason_and_ends_the_request(cast: Cast, second: User) -> None:
    asked = ask(cast)
    with pytest.raises(Invalid):
        refuse(second, asked, " ")
    assert refuse(second, asked, "The key is still in use").decision == "The key is still in use"
    with pytest.raises(Conflict):
        spend(cast)


def test_only_who_asked_withdraws_and_what_was_withdrawn_is_of_no_use(cast: Cast, second: User) -> None:
    asked = ask(cast)
    approve(second, asked)
    with pytest.raises(Forbidden, match="Only who asked"):
        withdraw(second, asked)
    withdraw(cast.custodian, asked)
    with pytest.raises(Conflict):
        spend(cast)
    with pytest.raises(Conflict):
        withdraw(cast.custodian, asked)


@pytest.mark.parametrize("role", sorted(set(Role.values) - {Role.CUSTODIAN}))
def test_other_roles_do_not_approve(role: str, cast: Cast) -> None:
    asked = ask(cast)
    with pytest.raises(Forbidden):
        approve(cast.home.people[role], asked)
    with pytest.raises(Forbidden):
        approve(cast.away.people[Role.CUSTODIAN], asked)


@pytest.mark.parametrize(
    "deed", [ask, lambda cast, actor: approve(actor, ask(cast)), spend], ids=["ask", "give", "use"]
)
def test_a_program_takes_no_part(deed: Callable[[Cast, Actor], Approval], cast: Cast, second: User) -> None:
    token = create_token(second, cast.organisation, "script", read_only=False).token
    for actor in (token, STAGE):
        with pytest.raises(Forbidden, match="between people"):
            deed(cast, actor)
        Approval.objects.all().delete()


def test_one_person_keeps_no_more_than_a_bounded_number_of_requests_open(cast: Cast) -> None:
    for number in range(MAX_OPEN):
        ask(cast, subject=f"devicekey {number}")
    with pytest.raises(Conflict, match="20 open requests"):
        ask(cast, subject="devicekey 20")


@pytest.mark.parametrize(
    ("field", "value"), [("deed", "x" * 41), ("subject", "x" * 81), ("summary", ""), ("reason", ""), ("reason", "a\0b")]
)
def test_what_is_asked_is_checked(field: str, value: str, cast: Cast) -> None:
    good = {"deed": DEED, "subject": SUBJECT, "summary": "Reveal", "reason": "Lost"}
    with pytest.raises(Invalid) as refused:
        request(cast.custodian, cast.organisation, **{**good, field: value})
    assert refused.value.field == field
