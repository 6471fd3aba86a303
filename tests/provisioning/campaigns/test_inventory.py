"""The inventory: what is found, counted and paged, and who sees it."""

from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from provisioning.campaigns.queries import (
    inventory,
    inventory_counts,
    page,
    visible_handovers,
    visible_schedules,
)
from provisioning.campaigns.services import failed, schedule
from provisioning.keys.services import issue_inner_key
from tests.cast import STAGE
from tests.provisioning.campaigns.stage import NOON, Stage


def test_keys_are_found_by_what_they_are_where_they_are_and_what_became_of_them(stage: Stage) -> None:
    adapter, other = stage.adapter(), stage.cast.keyed_adapter()
    who, home = stage.cast.custodian, stage.cast.organisation
    now = timezone.now()
    ending = issue_inner_key(STAGE, adapter, not_after=now + timedelta(days=10))
    lost = failed(stage.begun(adapter), "not_answered", "", NOON)

    def found(**which: Any) -> set[int]:
        return set(inventory(who, home, **which).values_list("pk", flat=True))

    everything = found()
    assert len(everything) == 9
    assert found(purpose="root") == {row.pk for row in inventory(who, home) if row.purpose == "root"}
    assert found(adapter=other) | found(site=stage.site) == everything
    assert found(state="generated") == {ending.pk}
    assert found(expiring_before=now + timedelta(days=30)) == {ending.pk}
    assert found(failed=True) == {lost.key_id}
    row = vars(inventory(who, home, failed=True)[0])
    assert (row["failure_code"], "did not answer" in row["failure"]) == ("not_answered", True)
    assert found(adapter=other, failed=True) == set()


def test_counts_tell_states_what_ends_soon_and_what_failed(stage: Stage) -> None:
    adapter, now = stage.adapter(), timezone.now()
    issue_inner_key(STAGE, adapter, not_after=now + timedelta(days=10))
    issue_inner_key(STAGE, adapter, not_after=now + timedelta(days=31))
    issue_inner_key(STAGE, adapter, not_before=now - timedelta(days=9), not_after=now - timedelta(days=1))
    failed(stage.begun(adapter), "slot_taken", "", NOON)
    counts = inventory_counts(stage.cast.custodian, stage.cast.organisation, now)
    assert counts.states == {"active": 4, "generated": 3, "revoked": 1}
    assert (counts.expiring, counts.expired, counts.failed) == (1, 1, 1)
    assert inventory_counts(stage.cast.outsider, stage.cast.organisation, now).states == {}


def test_pages_follow_each_other_without_gap_or_repetition(stage: Stage) -> None:
    for _ in range(3):
        stage.adapter()
    rows, seen, after = inventory(STAGE, stage.cast.organisation), [], 0
    while part := page(rows, after, 5):
        seen += [row.pk for row in part]
        after = seen[-1]
    assert seen == sorted(rows.values_list("pk", flat=True))
    assert len(page(rows, 0, 10**9)) == 12


def test_a_page_is_found_through_an_index(stage: Stage) -> None:
    stage.adapter()
    rows = inventory(stage.cast.custodian, stage.cast.organisation, purpose="inner", state="active")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    plan = rows.filter(pk__gt=1)[:100].explain()
    assert "key_kind_pages" in plan or "key_pages" in plan or "keys_devicekey_pkey" in plan or "PRIMARY" in plan


def test_schedules_and_hand_overs_are_for_those_who_may_see_keys(stage: Stage) -> None:
    row = schedule(STAGE, stage.cast.organisation, period_days=30, first_at=NOON)
    assert list(visible_schedules(stage.cast.auditor)) == [row]
    assert not visible_schedules(stage.cast.viewer).exists()
    assert not visible_schedules(stage.cast.outsider).exists()
    assert not visible_handovers(stage.cast.outsider).exists()
