"""API tokens: shown once, kept as keyed digest, narrowed by role, expiring, revocable."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from provisioning.accounts import tokens
from provisioning.accounts.models import ApiToken, Role
from provisioning.accounts.permissions import IN_PERSON, may
from provisioning.accounts.queries import organisations_of, own_tokens
from provisioning.accounts.services import (
    MAX_TOKENS_PER_USER,
    InvalidToken,
    add_member,
    authenticate_token,
    create_token,
    remove_member,
    revoke_token,
)
from provisioning.audit.models import Entry
from provisioning.errors import Conflict, Forbidden, Invalid
from provisioning.fleet.services import create_site
from tests.cast import STAGE, Cast


def test_a_token_is_recognised_by_its_text_alone(cast: Cast) -> None:
    token, text = create_token(cast.operator, cast.organisation, "script")
    assert text.startswith(f"mspan_{token.prefix}_")
    found = authenticate_token(text)
    assert (found, found.user, found.organisation) == (token, cast.operator, cast.organisation)


def test_the_secret_is_stored_nowhere_and_shown_by_no_repr(cast: Cast) -> None:
    made = create_token(cast.operator, cast.organisation, "script")
    secret = made.text.rsplit("_", 1)[1]
    row = ApiToken.objects.values().get(pk=made.token.pk)
    audit = list(Entry.objects.values())
    assert secret not in f"{row}{audit}{made!r}{made.token!r}"


def test_a_changed_foreign_or_broken_text_is_refused_alike(cast: Cast) -> None:
    text = create_token(cast.operator, cast.organisation, "script").text
    flipped = text[:-1] + ("0" if text[-1] != "0" else "1")
    messages = set()
    for wrong in (flipped, text.replace("mspan_", "mspan_0", 1), "", "mspan", text + "0", "x" * 10_000, text.upper()):
        with pytest.raises(InvalidToken) as refusal:
            authenticate_token(wrong)
        messages.add(str(refusal.value))
    assert len(messages) == 1


@given(st.text(max_size=200))
def test_no_text_whatsoever_breaks_the_parser(text: str) -> None:
    parts = tokens.parse(text)
    assert parts is None or tokens.compose(*parts) == text


def test_an_expired_revoked_or_orphaned_token_is_refused(cast: Cast) -> None:
    soon = timezone.now() + timedelta(hours=1)
    expiring = create_token(cast.operator, cast.organisation, "expiring", expires_at=soon)
    ApiToken.objects.filter(pk=expiring.token.pk).update(expires_at=timezone.now())
    revoked = create_token(cast.operator, cast.organisation, "revoked")
    revoke_token(cast.operator, revoked.token)
    member = add_member(STAGE, cast.organisation, "leaving@example.org", "viewer")
    orphaned = create_token(member.user, cast.organisation, "orphaned")
    remove_member(cast.administrator, member)
    for made in (expiring, revoked, orphaned):
        with pytest.raises(InvalidToken):
            authenticate_token(made.text)


def test_a_blocked_user_s_token_is_refused(cast: Cast) -> None:
    made = create_token(cast.operator, cast.organisation, "script")
    cast.operator.is_active = False
    cast.operator.save()
    with pytest.raises(InvalidToken):
        authenticate_token(made.text)


def test_a_read_only_token_reads_and_nothing_else(cast: Cast) -> None:
    token = create_token(cast.operator, cast.organisation, "script").token
    assert may(token, cast.organisation, "fleet.view")
    assert not may(token, cast.organisation, "fleet.edit")
    with pytest.raises(Forbidden):
        create_site(token, cast.organisation, name="New")


def test_a_writing_token_acts_as_its_user_and_is_named_in_the_audit(cast: Cast) -> None:
    token = create_token(cast.operator, cast.organisation, "script", read_only=False).token
    create_site(token, cast.organisation, name="New")
    entry = Entry.objects.filter(organisation=cast.organisation).latest("seq")
    assert entry.actor == cast.operator
    assert token.prefix in entry.actor_name


def test_a_token_can_do_less_but_never_more_than_its_user(cast: Cast) -> None:
    narrow = create_token(cast.operator, cast.organisation, "narrow", role="viewer", read_only=False).token
    wide = create_token(cast.viewer, cast.organisation, "wide", role="administrator", read_only=False).token
    assert not may(narrow, cast.organisation, "fleet.edit")
    assert not may(wide, cast.organisation, "accounts.manage")


def test_a_token_works_in_its_organisation_only(cast: Cast) -> None:
    add_member(STAGE, cast.away.organisation, cast.operator.email, "operator")
    token = create_token(cast.operator, cast.organisation, "script").token
    assert not may(token, cast.away.organisation, "fleet.view")
    assert list(organisations_of(token)) == [cast.organisation]


def test_one_sees_ones_own_tokens_and_revokes_them_or_lets_an_administrator_do_it(cast: Cast) -> None:
    mine = create_token(cast.viewer, cast.organisation, "mine").token
    assert list(own_tokens(cast.viewer, cast.organisation)) == [mine]
    assert not own_tokens(cast.operator, cast.organisation).exists()
    with pytest.raises(Forbidden):
        revoke_token(cast.operator, mine)
    revoke_token(cast.administrator, mine)
    before = Entry.objects.count()
    revoke_token(cast.viewer, mine)
    assert Entry.objects.count() == before


def test_a_program_makes_no_tokens_and_a_past_expiry_is_refused(cast: Cast) -> None:
    token = create_token(cast.operator, cast.organisation, "script", read_only=False).token
    with pytest.raises(Forbidden):
        create_token(token, cast.organisation, "child")
    with pytest.raises(Invalid, match="future"):
        create_token(cast.operator, cast.organisation, "late", expires_at=timezone.now())


def test_there_is_a_bound_on_tokens_per_person(cast: Cast) -> None:
    ApiToken.objects.bulk_create(
        ApiToken(
            organisation=cast.organisation, user=cast.operator, name="x", prefix=f"{n:010x}", pepper=0, role="viewer"
        )
        for n in range(MAX_TOKENS_PER_USER)
    )
    with pytest.raises(Conflict, match="revoke one"):
        create_token(cast.operator, cast.organisation, "one more")


def test_last_use_is_written_once_a_minute_at_most(cast: Cast) -> None:
    text = create_token(cast.operator, cast.organisation, "script").text
    assert authenticate_token(text).last_used_at is not None
    with CaptureQueriesContext(
        connection,
    ) as queries:
        authenticate_token(text)
    assert not [query for query in queries if query["sql"].startswith("UPDATE")]
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    with CaptureQueriesContext(connection) as queries:
        authenticate_token(text)
    assert [query for query in queries if query["sql"].startswith("UPDATE")]


def test_an_older_pepper_still_fits_and_new_tokens_take_the_newest(cast: Cast, settings: Any, tmp_path: Path) -> None:
    old = create_token(cast.operator, cast.organisation, "old")
    path = tmp_path / "peppers"
    path.write_text(json.dumps({"0": tokens.peppers()[0].hex(), "3": "ab" * 32}))
    settings.TOKEN_PEPPERS_FILE = str(path)
    new = create_token(cast.operator, cast.organisation, "new")
    assert (old.token.pepper, new.token.pepper) == (0, 3)
    assert authenticate_token(old.text) == old.token
    assert authenticate_token(new.text) == new.token
    other = tmp_path / "without the old one"
    other.write_text(json.dumps({"3": "ab" * 32}))
    settings.TOKEN_PEPPERS_FILE = str(other)
    with pytest.raises(InvalidToken):
        authenticate_token(old.text)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"x": "00"}', '{"1": "zz"}', '{"1": "00"}', '{"99999": "' + "00" * 32 + '"}']
)
def test_an_unusable_pepper_file_is_named_without_its_content(settings: Any, tmp_path: Path, content: str) -> None:
    path = tmp_path / "peppers"
    path.write_text(content)
    settings.TOKEN_PEPPERS_FILE = str(path)
    with pytest.raises(ImproperlyConfigured, match="TOKEN_PEPPERS_FILE"):
        tokens.peppers()


def test_a_token_of_a_custodian_reads_about_keys_and_never_changes_them(cast: Cast) -> None:
    token = create_token(cast.custodian, cast.organisation, "script", read_only=False).token
    assert may(token, cast.organisation, "keys.view")
    for action in IN_PERSON:
        assert not may(token, cast.organisation, action), action
    narrowed = create_token(cast.custodian, cast.organisation, "script", role=Role.OPERATOR, read_only=False).token
    assert not may(narrowed, cast.organisation, "keys.issue"), "under another role's name neither"
    assert may(
        create_token(cast.operator, cast.organisation, "s", read_only=False).token, cast.organisation, "keys.issue"
    )
