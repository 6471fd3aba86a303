"""What time brings to keys: schedules, grace, destruction after re-sealing, and a clock that was wrong."""

from datetime import timedelta
from typing import Any

import pytest

from provisioning.audit.models import Entry
from provisioning.campaigns.models import Campaign, Delivery, Notice, Schedule
from provisioning.campaigns.services import (
    begin_notice,
    end_schedule,
    failed,
    notice_answered,
    notice_failed,
    notice_sent,
    notices_due,
    owe_proof,
    schedule,
    tick,
)
from provisioning.campaigns.tasks import tick as task
from provisioning.errors import Conflict, Forbidden, Invalid
from provisioning.keys import resealing
from provisioning.keys.models import DeviceKey
from provisioning.keys.services import activate, destroy, issue_inner_key, reseal_step, retire, revoke
from provisioning.keys.services.lifecycle import GRACE
from provisioning.keys.services.reseal import SETTLED
from provisioning.keys.vault import Vault
from tests.cast import STAGE
from tests.provisioning.campaigns.stage import HOUR, NOON, Stage

DAY = timedelta(days=1)


class Shelf:
    """Stored rows that need a key, as an app above the keys would have them."""

    def __init__(self) -> None:
        self.rows: dict[int, int] = {}
        self.resealed: list[tuple[int, int]] = []

    def waiting(self, key: DeviceKey) -> int:
        return self.rows.get(key.pk, 0)

    def reseal(self, vault: Vault, key: DeviceKey, storage_key: DeviceKey, limit: int) -> int:
        done = min(limit, self.rows.get(key.pk, 0))
        self.rows[key.pk] = self.rows.get(key.pk, 0) - done
        self.resealed.append((storage_key.pk, done))
        return done


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Shelf:
    made = Shelf()
    monkeypatch.setattr(resealing, "_resealers", [made])
    return made


def test_a_schedule_makes_a_campaign_when_its_time_comes_and_makes_up_for_missed_ones_once(stage: Stage) -> None:
    stage.adapter()
    row = schedule(stage.cast.custodian, stage.cast.organisation, period_days=90, first_at=NOON, validity_days=180)
    assert tick(NOON - HOUR).campaigns == 0
    assert tick(NOON + 200 * DAY).campaigns == 1
    assert tick(NOON + 200 * DAY).campaigns == 0
    row.refresh_from_db()
    assert row.next_at == NOON + 270 * DAY
    made = Campaign.objects.get()
    assert (made.schedule, made.validity_days, made.deliveries.count()) == (row, 180, 1)


def test_a_schedule_waits_for_its_last_campaign_and_ends_when_it_is_told_to(stage: Stage) -> None:
    stage.adapter()
    row = schedule(stage.cast.custodian, stage.cast.organisation, period_days=1, first_at=NOON)
    assert [tick(NOON + n * DAY).campaigns for n in range(2)] == [1, 0]
    assert Entry.objects.filter(action="schedule.skipped").count() == 1
    Delivery.objects.update(state="active")
    assert tick(NOON + DAY + HOUR).ended == 1
    assert tick(NOON + 2 * DAY).campaigns == 1
    end_schedule(stage.cast.custodian, row, "new contract")
    assert tick(NOON + 9 * DAY).campaigns == 0
    with pytest.raises(Conflict):
        end_schedule(stage.cast.custodian, row, "again")


@pytest.mark.parametrize(
    "field, wrong",
    [
        ("period_days", {"period_days": 0}),
        ("purpose", {"purpose": "lmn"}),
        ("purpose", {"purpose": "meter"}),
        ("first_at", {"first_at": NOON.replace(tzinfo=None)}),
    ],
)
def test_a_wrong_schedule_is_refused_with_its_field(stage: Stage, field: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refusal:
        schedule(STAGE, stage.cast.organisation, **{"period_days": 1, "first_at": NOON, **wrong})
    assert refusal.value.field == field
    with pytest.raises(Forbidden):
        schedule(stage.cast.operator, stage.cast.organisation, period_days=1, first_at=NOON)
    assert not Schedule.objects.exists()


def test_a_campaign_is_done_when_nothing_is_open(stage: Stage) -> None:
    delivery = stage.begun(stage.adapter())
    assert tick(NOON).ended == 0
    failed(delivery, "not_answered", "", NOON)
    assert tick(NOON).ended == 1
    assert Campaign.objects.get().state == "done"


def test_a_retiring_key_is_revoked_when_its_grace_is_over_and_the_adapter_is_told_to_forget_it(stage: Stage) -> None:
    adapter = stage.adapter()
    old = stage.cast.inner_key(adapter)
    stage.heard(stage.begun(adapter, grace_hours=24).key)
    old.refresh_from_db()
    assert old.grace_until is not None
    assert tick(old.grace_until - HOUR).revoked == 0
    assert tick(old.grace_until).revoked == 1
    old.refresh_from_db()
    assert (old.state, old.forgotten_at) == ("revoked", None)
    notice = Notice.objects.get(kind="revoke")
    assert notice.key == old


def test_a_key_that_retired_before_there_was_a_grace_has_the_usual_one(stage: Stage) -> None:
    old = stage.cast.inner_key(stage.adapter())
    DeviceKey.objects.filter(pk=old.pk).update(state="retiring", grace_until=None, state_at=NOON)
    assert tick(NOON + 71 * HOUR).revoked == 0
    assert tick(NOON + 72 * HOUR).revoked == 1


def test_a_notice_is_the_same_message_until_it_is_answered_and_then_the_slot_is_free(stage: Stage) -> None:
    adapter = stage.adapter()
    old = stage.cast.inner_key(adapter)
    revoke(STAGE, retire(STAGE, old), "compromised")
    assert tick(NOON).owed == 1
    assert tick(NOON).owed == 0
    (pk,) = notices_due(NOON, 10)
    first = begin_notice(pk, NOON)
    assert first is not None
    assert notice_sent(first, NOON, NOON + HOUR)
    assert notices_due(NOON, 10) == []
    assert notices_due(NOON + HOUR, 10) == [pk]
    again = begin_notice(pk, NOON + HOUR)
    assert again is not None
    assert again.seq == first.seq
    assert notice_answered(again, NOON + HOUR)
    assert not notice_answered(again, NOON + HOUR)
    old.refresh_from_db()
    assert old.forgotten_at == NOON + HOUR


def test_a_revocation_that_failed_is_owed_again_a_day_later(stage: Stage) -> None:
    revoke(STAGE, stage.cast.inner_key(stage.adapter()), "compromised")
    tick(NOON)
    notice = begin_notice(notices_due(NOON, 1)[0], NOON)
    assert notice is not None
    notice_failed(notice, "not_answered", NOON)
    assert tick(NOON + HOUR).owed == 0
    assert tick(NOON + DAY + HOUR).owed == 1


def test_a_proof_is_owed_again_after_a_fall_back_and_dropped_when_the_key_is_no_longer_in_use(stage: Stage) -> None:
    adapter = stage.adapter()
    key = stage.begun(adapter).key
    stage.heard(key)
    first = begin_notice(notices_due(NOON, 1)[0], NOON)
    assert first is not None
    notice_answered(first, NOON)
    key = stage.cast.inner_key(adapter)
    owe_proof(key, NOON)
    owe_proof(key, NOON)
    (pk,) = notices_due(NOON, 10)
    revoke(STAGE, key, "compromised")
    assert begin_notice(pk, NOON) is None
    assert Notice.objects.get(pk=pk).code == "no_longer_needed"


def test_the_key_that_was_never_delivered_is_not_revoked_at_the_adapter(stage: Stage) -> None:
    revoke(STAGE, issue_inner_key(STAGE, stage.adapter()), "unused")
    assert tick(NOON).owed == 0


def test_history_is_sealed_anew_before_its_key_can_be_destroyed(stage: Stage, shelf: Shelf) -> None:
    adapter = stage.adapter()
    key = revoke(STAGE, stage.cast.inner_key(adapter), "compromised")
    shelf.rows[key.pk] = 5
    with pytest.raises(Conflict, match="5 stored telegrams"):
        destroy(stage.cast.custodian, key, "now")
    assert [reseal_step(stage.vault, 3) for _ in range(3)] == [3, 2, 0]
    storage = DeviceKey.objects.get(adapter=adapter, purpose="storage")
    assert shelf.resealed == [(storage.pk, 3), (storage.pk, 2)]
    assert stage.vault.open(storage)
    key.refresh_from_db()
    assert key.resealed_at is None, "a batch that was under way may still store something under it"
    DeviceKey.objects.filter(pk=key.pk).update(state_at=key.state_at - SETTLED)
    assert reseal_step(stage.vault) == 0
    key.refresh_from_db()
    assert key.resealed_at is not None
    assert destroy(stage.cast.custodian, key, "now").state == "destroyed"


def test_keys_in_use_are_left_alone_by_the_resealing(stage: Stage, shelf: Shelf) -> None:
    key = stage.cast.inner_key(stage.adapter())
    shelf.rows[key.pk] = 5
    assert reseal_step(stage.vault) == 0
    assert not DeviceKey.objects.filter(purpose="storage").exists()


def test_history_of_an_archived_adapter_is_sealed_anew_too(stage: Stage, shelf: Shelf) -> None:
    adapter = stage.adapter()
    key = revoke(STAGE, stage.cast.inner_key(adapter), "scrapped")
    adapter.archived_at = NOON
    adapter.save()
    shelf.rows[key.pk] = 1
    assert reseal_step(stage.vault) == 1


def test_a_key_is_destroyed_when_it_was_kept_long_enough_and_nothing_needs_it(stage: Stage, shelf: Shelf) -> None:
    adapter = stage.adapter()
    key = revoke(STAGE, stage.cast.inner_key(adapter), "compromised")
    DeviceKey.objects.filter(pk=key.pk).update(state_at=NOON, forgotten_at=NOON)
    later = NOON + 91 * DAY
    assert tick(later).destroyed == 0  # nobody has looked yet whether history needs it
    shelf.rows[key.pk] = 1
    reseal_step(stage.vault, 0)
    assert tick(later).destroyed == 0
    reseal_step(stage.vault)
    assert tick(NOON + 89 * DAY).destroyed == 0
    assert tick(later).destroyed == 1


def test_a_sent_key_that_nobody_ever_used_is_revoked_after_a_month(stage: Stage) -> None:
    lost = failed(stage.begun(stage.adapter()), "not_answered", "", NOON)
    factory = issue_inner_key(STAGE, stage.adapter())
    DeviceKey.objects.filter(pk=factory.pk).update(state="delivering", state_at=NOON)
    assert lost.key is not None
    DeviceKey.objects.filter(pk=lost.key.pk).update(state_at=NOON)
    assert tick(NOON + 29 * DAY).revoked == 0
    assert tick(NOON + 31 * DAY).revoked == 1
    assert DeviceKey.objects.get(pk=factory.pk).state == "delivering"  # it waits in a warehouse


def test_what_a_wrong_clock_had_put_off_is_not_held_up_when_it_is_right_again(stage: Stage) -> None:
    delivery = stage.begun(stage.adapter())
    Delivery.objects.update(due_at=NOON + 365 * DAY)
    tick(NOON)
    assert Delivery.objects.get(pk=delivery.pk).due_at == NOON


def test_the_worker_does_it_every_minute(stage: Stage) -> None:
    assert task() == {"campaigns": 0, "ended": 0, "revoked": 0, "given_up": 0, "destroyed": 0, "owed": 0}


def test_a_manual_activation_gives_the_old_key_a_time_of_grace(stage: Stage) -> None:
    adapter = stage.adapter()
    old = stage.cast.inner_key(adapter)
    activate(stage.cast.custodian, issue_inner_key(STAGE, adapter))
    old.refresh_from_db()
    assert old.grace_until is not None
    assert timedelta() <= old.state_at - (old.grace_until - GRACE) < timedelta(minutes=1)
