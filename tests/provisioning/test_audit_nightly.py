"""Every night the chains are verified and their ends kept outside, so that even a forged chain is found."""

import smtplib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection

from meterwire.errors import FormatError
from provisioning.audit import chain, nightly, triggers
from provisioning.audit.anchors import read_anchors
from provisioning.audit.models import Entry, Head, Verification
from provisioning.audit.tasks import verify_chains
from provisioning.fleet.services import create_site
from tests.cast import Cast

NIGHT = datetime(2026, 2, 1, 1, 10, tzinfo=UTC)


@pytest.fixture
def anchors(settings: Any, tmp_path: Path) -> Path:
    settings.AUDIT_ANCHOR_FILE = str(tmp_path / "anchors")
    return tmp_path / "anchors"


def forge(cast: Cast, seq: int, action: str) -> None:
    """Somebody with the database and the audit key changes an entry and seals everything after it anew."""
    triggers.drop(connection)
    entries = list(Entry.objects.filter(organisation=cast.organisation, seq__gte=seq).order_by("seq"))
    before = entries[0].prev
    for entry in entries:
        entry.action, entry.prev = action if entry.seq == seq else entry.action, before
        before = entry.mac = chain.mac(entry)
        with connection.cursor() as cursor:
            cursor.execute(
                "update audit_entry set action = %s, prev = %s, mac = %s where id = %s",
                [entry.action, entry.prev, entry.mac, entry.pk],
            )
    Head.objects.filter(organisation=cast.organisation).update(mac=before)


def test_a_night_notes_and_anchors_every_chain(cast: Cast, anchors: Path) -> None:
    rows = nightly.verify_chains(NIGHT)
    assert {row.organisation for row in rows} == {cast.organisation, cast.away.organisation}
    assert all(row.broken is None for row in rows)

    kept = read_anchors(anchors)
    assert [(anchor.organisation, anchor.entries, anchor.head) for anchor in kept] == [
        (row.organisation.slug, row.entries, row.head) for row in rows
    ]


def test_the_file_grows_night_by_night_and_holds_nothing_of_the_content(cast: Cast, anchors: Path) -> None:
    nightly.verify_chains(NIGHT)
    create_site(cast.operator, cast.organisation, name="Geheimer Weg 1")
    nightly.verify_chains(NIGHT + timedelta(days=1))
    assert len(read_anchors(anchors)) == 4
    assert b"Geheimer" not in anchors.read_bytes()


def test_a_changed_entry_is_found_in_the_night(cast: Cast, anchors: Path) -> None:
    triggers.drop(connection)
    with connection.cursor() as cursor:
        cursor.execute("update audit_entry set actor_name = 'nobody' where organisation_id = %s and seq = 2",
                       [cast.organisation.pk])  # fmt: skip
    assert verify_chains() == 1
    [row] = Verification.objects.filter(organisation=cast.organisation)
    assert (row.broken, row.reason) == (2, "its content was changed")
    assert [anchor.organisation for anchor in read_anchors(anchors)] == [cast.away.organisation.slug]


def test_a_chain_that_was_forged_with_the_key_is_found_by_the_night_before(cast: Cast) -> None:
    nightly.verify_chains(NIGHT)
    forge(cast, 3, "site.created")
    broken = {row.organisation: row.broken for row in nightly.verify_chains(NIGHT + timedelta(days=1))}
    assert broken[cast.organisation] is not None
    assert broken[cast.away.organisation] is None


def test_a_forged_chain_does_not_become_sound_by_the_night_after(cast: Cast, anchors: Path) -> None:
    nightly.verify_chains(NIGHT)
    forge(cast, 3, "site.created")
    for day in (1, 2):
        broken = {row.organisation: row.broken for row in nightly.verify_chains(NIGHT + timedelta(days=day))}
        assert broken[cast.organisation] is not None
    kept = [anchor.organisation for anchor in read_anchors(anchors)]
    assert (kept.count(cast.organisation.slug), kept.count(cast.away.organisation.slug)) == (1, 3)


def test_a_chain_that_was_forged_with_the_key_is_found_by_the_anchors(cast: Cast, anchors: Path) -> None:
    nightly.verify_chains(NIGHT)
    call_command("audit_verify", anchors=anchors)
    forge(cast, 3, "site.created")
    Verification.objects.all().delete()
    call_command("audit_verify")
    with pytest.raises(CommandError, match="not the chain of 2026-02-01"):
        call_command("audit_verify", anchors=anchors)


def test_a_cut_chain_is_found_by_the_anchors(cast: Cast, anchors: Path) -> None:
    nightly.verify_chains(NIGHT)
    triggers.drop(connection)
    last = Entry.objects.filter(organisation=cast.organisation).latest("seq")
    Head.objects.filter(organisation=cast.organisation).update(seq=last.seq - 1, mac=last.prev)
    with connection.cursor() as cursor:
        cursor.execute("delete from audit_entry where id = %s", [last.pk])
    call_command("audit_verify")
    with pytest.raises(CommandError, match="not the chain"):
        call_command("audit_verify", anchors=anchors)


def test_a_damaged_file_of_anchors_is_refused(cast: Cast, anchors: Path) -> None:
    anchors.write_text('From: portal\n{"organisation": "a", "at": "x", "entries": -1, "head": ""}\n')
    with pytest.raises(FormatError, match="line 2"):
        read_anchors(anchors)
    with pytest.raises(CommandError, match="cannot be compared"):
        call_command("audit_verify", anchors=anchors / "missing")


def test_a_file_without_anchors_proves_nothing(cast: Cast, anchors: Path) -> None:
    for content in ("", "From: portal\n\nRW5kcyBvZiB0aGUgYXVkaXQgY2hhaW5z\n"):
        anchors.write_text(content)
        with pytest.raises(CommandError, match="no anchor in it"):
            call_command("audit_verify", anchors=anchors)


def test_the_ends_are_mailed_to_those_who_keep_them(cast: Cast, settings: Any) -> None:
    settings.AUDIT_ANCHOR_MAIL = ["auditor@example.org"]
    rows = nightly.verify_chains(NIGHT)
    [message] = mail.outbox
    assert message.to == ["auditor@example.org"]
    assert all(row.head in message.body for row in rows)


def test_a_file_that_cannot_be_written_keeps_no_mail_back(cast: Cast, settings: Any, tmp_path: Path) -> None:
    settings.AUDIT_ANCHOR_FILE = str(tmp_path)
    settings.AUDIT_ANCHOR_MAIL = ["auditor@example.org"]
    with pytest.raises(IsADirectoryError):
        nightly.verify_chains(NIGHT)
    assert len(mail.outbox) == 1


def test_a_mail_server_that_is_away_takes_no_verdict_with_it(
    cast: Cast, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    forge(cast, 3, "site.created")
    Head.objects.filter(organisation=cast.organisation).update(seq=1)
    settings.AUDIT_ANCHOR_MAIL = ["auditor@example.org"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    with pytest.raises((OSError, smtplib.SMTPException)):
        nightly.verify_chains(NIGHT)
    assert Verification.objects.count() == 2
    assert f"the audit chain of {cast.organisation.slug} is broken" in caplog.text


def test_nights_of_long_ago_are_forgotten(cast: Cast) -> None:
    Verification.objects.bulk_create(
        Verification(organisation=cast.organisation, at=NIGHT - timedelta(days=n), entries=0) for n in range(1, 450)
    )
    nightly.verify_chains(NIGHT)
    assert Verification.objects.filter(organisation=cast.organisation).count() == nightly.KEPT
