"""Organisations, members, preferences and the current organisation of a session."""

import pytest
from django.contrib.auth import authenticate
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.db import IntegrityError, transaction

from provisioning.accounts.actors import System
from provisioning.accounts.models import ApiToken, Membership, Organisation, User
from provisioning.accounts.queries import members, organisations_of
from provisioning.accounts.services import (
    add_member,
    change_member,
    create_organisation,
    create_token,
    remove_member,
    set_preferences,
)
from provisioning.accounts.session import SESSION_KEY, choose_organisation, current_organisation
from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Forbidden, Invalid
from tests.cast import STAGE, Cast

PASSWORD = "lindenblatt-im-wind"


def test_an_organisation_needs_the_system_or_a_superuser(cast: Cast) -> None:
    with pytest.raises(Forbidden):
        create_organisation(cast.administrator, "Mine")
    root = User.objects.create_superuser("root@example.org")
    assert create_organisation(root, "Stadtwerke Süd").slug == "stadtwerke-sud"
    assert create_organisation(System("seed"), "Other").slug == "other"


def test_a_short_name_is_taken_once(cast: Cast) -> None:
    create_organisation(STAGE, "Twin")
    with pytest.raises(Conflict, match="twin"):
        create_organisation(STAGE, "Twin")
    with pytest.raises(Invalid):
        create_organisation(STAGE, "!!!")


def test_a_new_member_gets_an_account_and_can_log_in_in_any_case_of_the_email(cast: Cast) -> None:
    member = add_member(
        cast.administrator,
        cast.organisation,
        " Eva.Muster@Example.ORG ",
        "operator",
        password=PASSWORD,
        first_name="Eva",
    )
    assert member.user.email == "Eva.Muster@example.org"
    assert authenticate(username="eva.muster@example.org", password=PASSWORD) == member.user


def test_an_existing_person_joins_a_second_organisation_with_account_untouched(cast: Cast) -> None:
    joined = add_member(
        cast.administrator, cast.organisation, cast.outsider.email.upper(), "viewer", password=PASSWORD, first_name="X"
    )
    assert joined.user == cast.outsider
    cast.outsider.refresh_from_db()
    assert cast.outsider.first_name == ""
    assert not cast.outsider.has_usable_password()
    assert set(organisations_of(cast.outsider)) == {cast.organisation, cast.away.organisation}


@pytest.mark.parametrize("email", ["", "nobody", "a@b", "x" * 250 + "@example.org", "a\0b@example.org"])
def test_a_member_needs_an_email_address(cast: Cast, email: str) -> None:
    with pytest.raises(Invalid) as refusal:
        add_member(cast.administrator, cast.organisation, email, "viewer")
    assert refusal.value.field == "email"


def test_an_unknown_role_a_poor_password_and_a_second_membership_are_refused(cast: Cast) -> None:
    with pytest.raises(Invalid, match="viewer"):
        add_member(cast.administrator, cast.organisation, "a@example.org", "king")
    with pytest.raises(Invalid) as refusal:
        add_member(cast.administrator, cast.organisation, "a@example.org", "viewer", password="short")
    assert refusal.value.field == "password"
    assert not User.objects.filter(email="a@example.org").exists()
    with pytest.raises(Conflict, match="already"):
        add_member(cast.administrator, cast.organisation, cast.viewer.email, "operator")


def test_nobody_changes_or_removes_themselves(cast: Cast) -> None:
    own = cast.home.member("administrator")
    with pytest.raises(Forbidden, match="own"):
        change_member(cast.administrator, own, role="custodian")
    with pytest.raises(Forbidden, match="own"):
        remove_member(cast.administrator, own)


def test_one_administrator_always_stays(cast: Cast) -> None:
    own = cast.home.member("administrator")
    with pytest.raises(Conflict, match="last administrator"):
        change_member(STAGE, own, role="viewer")
    with pytest.raises(Conflict, match="last administrator"):
        remove_member(STAGE, own)
    change_member(cast.administrator, cast.home.member("operator"), role="administrator")
    remove_member(cast.operator, own)
    assert not organisations_of(cast.administrator).exists()


def test_a_member_who_leaves_loses_the_tokens_here(cast: Cast) -> None:
    create_token(cast.operator, cast.organisation, "script")
    remove_member(cast.administrator, cast.home.member("operator"))
    assert ApiToken.objects.get(user=cast.operator).revoked_at is not None


def test_changes_to_members_are_in_the_audit(cast: Cast) -> None:
    change_member(cast.administrator, cast.home.member("viewer"), role="operator", all_sites=False)
    entry = Entry.objects.filter(organisation=cast.organisation).latest("seq")
    assert (entry.action, entry.actor, entry.object_name) == ("member.changed", cast.administrator, cast.viewer.email)
    assert entry.data == {"from": "viewer", "to": "operator", "all_sites": False}


def test_members_are_listed_by_email(cast: Cast) -> None:
    emails = [member.user.email for member in members(cast.auditor, cast.organisation)]
    assert emails == sorted(emails)
    assert len(emails) == 6


def test_preferences_are_checked_and_kept(cast: Cast) -> None:
    set_preferences(cast.viewer, language="de", theme="dark")
    cast.viewer.refresh_from_db()
    assert (cast.viewer.language, cast.viewer.theme) == ("de", "dark")
    with pytest.raises(Invalid):
        set_preferences(cast.viewer, theme="pink")


def test_two_accounts_cannot_share_an_email_in_another_case(cast: Cast) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create_user(cast.viewer.email.upper())


def test_a_session_works_in_one_organisation_and_forgets_it_when_membership_ends(cast: Cast) -> None:
    second = create_organisation(STAGE, "AAA first by name")
    member = add_member(STAGE, second, cast.viewer.email, "operator")
    session = SessionStore()
    assert current_organisation(session, cast.viewer) == second
    choose_organisation(session, cast.viewer, cast.organisation)
    assert session[SESSION_KEY] == cast.organisation.pk
    assert current_organisation(session, cast.viewer) == cast.organisation
    with pytest.raises(Forbidden):
        choose_organisation(session, cast.viewer, cast.away.organisation)
    choose_organisation(session, cast.viewer, second)
    remove_member(STAGE, member)
    assert current_organisation(session, cast.viewer) == cast.organisation


def test_a_person_without_organisation_has_no_current_one(cast: Cast) -> None:
    assert current_organisation(SessionStore(), User.objects.create_user("lonely@example.org")) is None


def test_the_database_knows_the_roles(cast: Cast) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Membership.objects.filter(user=cast.viewer).update(role="king")
    with pytest.raises(IntegrityError), transaction.atomic():
        Membership.objects.create(user=cast.viewer, organisation=cast.organisation, role="viewer")
    assert Organisation.objects.count() == 2
