"""The audit chain: every change is in it, nothing in it can be changed unnoticed."""

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from meterwire.errors import LimitExceeded
from provisioning.audit import chain, triggers
from provisioning.audit.models import Entry, Head, Immutable
from provisioning.audit.queries import entries, verify
from provisioning.audit.services import audited, record
from provisioning.errors import Conflict
from provisioning.fleet.services import create_site
from tests.cast import STAGE, Cast


@pytest.fixture
def unguarded(db: None) -> None:
    """The database as somebody sees it who has its owner's rights: without triggers."""
    triggers.drop(connection)


def test_entries_are_numbered_from_one_and_each_follows_the_last(cast: Cast) -> None:
    found = list(Entry.objects.filter(organisation=cast.organisation).order_by("seq"))
    assert [entry.seq for entry in found] == list(range(1, len(found) + 1))
    assert [entry.prev for entry in found] == ["", *(entry.mac for entry in found[:-1])]
    assert found[0].action == "organisation.created"


def test_a_sound_chain_verifies(cast: Cast) -> None:
    create_site(cast.operator, cast.organisation, name="Bäckerstraße 1 \N{GRINNING FACE}")
    verdict = verify(cast.organisation)
    assert verdict.broken is None
    assert verdict.entries == Entry.objects.filter(organisation=cast.organisation).count()


def test_an_organisation_has_its_own_chain_and_key(cast: Cast) -> None:
    create_site(cast.operator, cast.organisation, name="Here")
    assert verify(cast.away.organisation).entries == 7
    assert verify(cast.organisation).entries == 8
    assert chain._organisation_key(1) != chain._organisation_key(2)


def test_a_refused_change_leaves_no_entry(cast: Cast) -> None:
    create_site(cast.operator, cast.organisation, name="Here")
    before = Entry.objects.count()
    with pytest.raises(Conflict):
        create_site(cast.operator, cast.organisation, name="Here")
    assert Entry.objects.count() == before
    assert verify(cast.organisation).broken is None


def test_recording_outside_a_transaction_is_refused(transactional_cast: Cast) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        record(transactional_cast.organisation, STAGE, "test.done")


def test_the_entry_goes_with_a_rolled_back_change(transactional_cast: Cast) -> None:
    organisation = transactional_cast.organisation
    before = verify(organisation).entries
    with suppress(ZeroDivisionError), audited(organisation):
        record(organisation, STAGE, "test.done")
        raise ZeroDivisionError
    assert verify(organisation).entries == before
    assert verify(organisation).broken is None


def test_the_model_refuses_change_and_deletion(cast: Cast) -> None:
    entry = Entry.objects.filter(organisation=cast.organisation).earliest("seq")
    entry.action = "nothing.happened"
    for change in (entry.save, entry.delete, Entry.objects.all().delete, lambda: Entry.objects.update(action="x")):
        with pytest.raises(Immutable):
            change()


@pytest.mark.parametrize("statement", ["UPDATE audit_entry SET action = 'x'", "DELETE FROM audit_entry"])
def test_the_database_refuses_change_and_deletion(cast: Cast, statement: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


CHANGES = {
    "actor": "UPDATE audit_entry SET actor_name = 'somebody else' WHERE seq = 3 AND organisation_id = %s",
    "data": "UPDATE audit_entry SET data = '{}' WHERE seq = 3 AND organisation_id = %s",
    "time": "UPDATE audit_entry SET at = '2020-01-01 00:00:00+00:00' WHERE seq = 3 AND organisation_id = %s",
    "object": "UPDATE audit_entry SET object_id = '0' WHERE seq = 3 AND organisation_id = %s",
    "mac": "UPDATE audit_entry SET mac = prev WHERE seq = 3 AND organisation_id = %s",
    "gap": "DELETE FROM audit_entry WHERE seq = 3 AND organisation_id = %s",
}


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES.keys())
def test_any_change_past_the_triggers_is_found_at_its_place(cast: Cast, unguarded: None, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [cast.organisation.pk])
    verdict = verify(cast.organisation)
    assert verdict.broken == 3
    assert verdict.entries == 2
    assert verify(cast.away.organisation).broken is None


def test_a_cut_end_is_found(cast: Cast, unguarded: None) -> None:
    last = Entry.objects.filter(organisation=cast.organisation).latest("seq").seq
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_entry WHERE seq = %s AND organisation_id = %s", [last, cast.organisation.pk])
    verdict = verify(cast.organisation)
    assert (verdict.broken, verdict.reason) == (last, "the end of the chain is missing")


def test_a_missing_head_is_found(cast: Cast) -> None:
    Head.objects.filter(organisation=cast.organisation).delete()
    assert verify(cast.organisation).broken == 8


def test_entries_cannot_be_carried_over_from_another_organisation(cast: Cast, unguarded: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_entry WHERE organisation_id = %s", [cast.organisation.pk])
        cursor.execute(
            "UPDATE audit_entry SET organisation_id = %s WHERE organisation_id = %s",
            [cast.organisation.pk, cast.away.organisation.pk],
        )
    assert verify(cast.organisation).broken == 1


def test_another_audit_key_is_told_from_a_forgery(cast: Cast, settings: Any, tmp_path: Path) -> None:
    path = tmp_path / "audit"
    path.write_bytes(b"k" * 32)
    settings.AUDIT_KEY_FILE = str(path)
    verdict = verify(cast.organisation)
    assert verdict.broken == 1
    assert "audit key" in verdict.reason


@pytest.mark.parametrize("content", [None, b"short"])
def test_an_unusable_audit_key_file_is_named(settings: Any, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    settings.AUDIT_KEY_FILE = str(path)
    with pytest.raises(ImproperlyConfigured, match="AUDIT_KEY_FILE"):
        chain.key_name()


def test_data_comes_back_from_the_database_as_it_was_signed(cast: Cast) -> None:
    data = {
        "float": 1e22,
        "small": 1e-7,
        "decimal": Decimal("12345.60"),
        "time": datetime(2026, 3, 29, 2, 30, tzinfo=UTC),
        "big": 2**70,
        "nul": "a\0b",
        "odd": "\u2028\ud7ff\N{GRINNING FACE}",
        "nested": {"list": [None, True, -1], "set": {"b", "a"}},
    }
    with transaction.atomic():
        entry = record(cast.organisation, STAGE, "test.done", None, data)
    assert verify(cast.organisation).broken is None
    entry = Entry.objects.get(pk=entry.pk)
    assert entry.data["decimal"] == "12345.60"
    assert entry.data["nested"]["set"] == ["a", "b"]


def test_data_has_a_bound_and_takes_plain_values_only(cast: Cast) -> None:
    with transaction.atomic(), pytest.raises(LimitExceeded):
        record(cast.organisation, STAGE, "test.done", None, {"much": "x" * chain.MAX_DATA_BYTES})
    with transaction.atomic(), pytest.raises(TypeError, match="bytes"):
        record(cast.organisation, STAGE, "test.done", None, {"key": b"secret"})


def test_an_auditor_reads_the_newest_first(cast: Cast) -> None:
    found = entries(cast.auditor, cast.organisation)
    assert found[0].seq > found[1].seq
    assert all(entry.organisation_id == cast.organisation.pk for entry in found)


def test_the_command_reports_each_chain(cast: Cast, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("audit_verify")
    out = capsys.readouterr().out
    assert f"{cast.organisation.slug}: 7 entries, unbroken, head " in out
    assert cast.away.organisation.slug in out
    call_command("audit_verify", organisation=cast.organisation.slug)
    assert cast.away.organisation.slug not in capsys.readouterr().out


def test_the_command_fails_and_names_the_first_broken_entry(cast: Cast, unguarded: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(CHANGES["data"], [cast.organisation.pk])
    with pytest.raises(CommandError, match=f"{cast.organisation.slug}: broken at entry 3: its content") as failure:
        call_command("audit_verify")
    assert failure.value.returncode == 1
    with pytest.raises(CommandError, match="no organisation"):
        call_command("audit_verify", organisation="nowhere")
