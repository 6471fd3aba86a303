"""The life of one delivery, from planned to in use, and everything that can go wrong on the way."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from meterwire.curves import Curve, PrivateKey, PublicKey
from meterwire.ids import DevEUI
from meterwire.key_exchange import agreed_key
from meterwire.key_messages import Place
from meterwire.seal import InnerKey
from provisioning.audit.models import Entry
from provisioning.campaigns.models import Delivery, Notice
from provisioning.campaigns.places import place_of
from provisioning.campaigns.services import (
    agreed,
    answered,
    begin,
    cancel,
    ephemeral,
    failed,
    give_up,
    next_seq,
    outcomes,
    pause,
    retry,
    seen_seq,
    sent,
)
from provisioning.errors import Conflict
from provisioning.keys.kek import KeyDamaged
from provisioning.keys.models import DeviceKey
from provisioning.keys.services import issue_inner_key, mark_used, revoke
from tests.cast import STAGE
from tests.provisioning.campaigns.stage import HOUR, NOON, Stage

OTHER = b"\x01\x02\x03"


def test_a_delivered_key_goes_from_planned_to_in_use_and_the_old_one_keeps_its_grace(stage: Stage) -> None:
    adapter = stage.adapter()
    old = stage.cast.inner_key(adapter)
    delivery = stage.begun(adapter, validity_days=365, grace_hours=24)
    key = delivery.key
    assert key is not None
    assert (delivery.state, delivery.seq, key.state, key.slot) == ("delivering", 1, "delivering", 1)
    assert key.not_after == NOON + timedelta(days=365)
    assert place_of(delivery) == Place(1, 1, 4)
    assert stage.confirmed(delivery).state == "confirmed"
    assert stage.heard(key, NOON + HOUR) == 1
    old.refresh_from_db()
    delivery.refresh_from_db()
    assert (stage.cast.inner_key(adapter), delivery.state) == (key, "active")
    assert old.state == "retiring"
    assert old.grace_until == old.state_at + timedelta(hours=24)
    assert Notice.objects.get(kind="proof").key == key


def test_a_key_that_never_was_heard_keeps_the_same_grace_once_its_successor_is(stage: Stage) -> None:
    adapter = stage.adapter()
    old = stage.cast.inner_key(adapter)
    DeviceKey.objects.filter(pk=old.pk).update(state="delivering")  # as from a key file
    stage.heard(stage.begun(adapter, grace_hours=24).key)
    old.refresh_from_db()
    assert old.state == "retiring"
    assert old.grace_until == old.state_at + timedelta(hours=24)


def test_a_delivery_begins_once_and_not_while_its_campaign_rests(stage: Stage) -> None:
    campaign = stage.plan(stage.adapter())
    delivery = campaign.deliveries.get()
    pause(stage.cast.custodian, campaign)
    assert begin(delivery.pk, NOON, stage.vault) is None
    campaign.state = "running"
    campaign.save()
    assert begin(delivery.pk, NOON, stage.vault) is not None
    assert begin(delivery.pk, NOON, stage.vault) is None


def test_of_two_deliveries_to_an_adapter_one_is_under_way(stage: Stage) -> None:
    adapter = stage.adapter()
    stage.begun(adapter)
    other = stage.plan(adapter, purpose="control_down").deliveries.get()
    assert begin(other.pk, NOON, stage.vault) is None
    assert Delivery.objects.get(pk=other.pk).state == "planned"


@pytest.mark.parametrize("curve", list(Curve))
def test_an_exchange_gives_both_sides_the_same_key_and_leaves_no_private_key_behind(stage: Stage, curve: Curve) -> None:
    adapter = stage.adapter()
    delivery = stage.begun(adapter, method="exchange", curve=curve)
    assert delivery.key is None
    ours = ephemeral(delivery, stage.vault)
    theirs = PrivateKey.generate(curve, bytes(range(48)))
    public = PublicKey(bytes.fromhex(delivery.public))
    assert (ours.public, ours.curve) == (public, curve)
    terms: dict[str, Any] = {
        "initiator": public, "responder": theirs.public, "dev_eui": DevEUI.parse(adapter.dev_eui),
        "place": place_of(delivery), "seq": delivery.seq,
    }  # fmt: skip
    made = agreed(delivery, agreed_key(ours, theirs.public, **terms), NOON, stage.vault)
    assert made.key is not None
    assert stage.vault.open_inner(made.key) == agreed_key(theirs, public, **terms)
    assert (made.key.state, made.key.slot, bytes(made.private)) == ("delivering", 1, b"")
    assert stage.confirmed(made).state == "confirmed"
    assert stage.heard(made.key) == 1
    with pytest.raises(KeyDamaged):
        ephemeral(made, stage.vault)


def test_the_same_answer_to_an_offer_counts_once_and_another_one_is_refused(stage: Stage) -> None:
    delivery = stage.begun(stage.adapter(), method="exchange")
    first, second = InnerKey(bytes(16)), InnerKey(bytes(15) + b"1")
    made = agreed(delivery, first, NOON, stage.vault)
    assert agreed(delivery, first, NOON, stage.vault).key == made.key
    with pytest.raises(Conflict):
        agreed(delivery, second, NOON, stage.vault)
    assert DeviceKey.objects.filter(adapter=delivery.adapter, purpose="inner").count() == 2


def test_an_answer_to_an_offer_that_was_given_up_is_refused(stage: Stage) -> None:
    delivery = stage.begun(stage.adapter(), method="exchange")
    failed(delivery, "not_answered", "", NOON)
    with pytest.raises(Conflict, match="too late"):
        agreed(delivery, InnerKey(bytes(16)), NOON, stage.vault)
    assert bytes(Delivery.objects.get(pk=delivery.pk).private) == b""


def test_an_ephemeral_key_copied_to_another_row_does_not_open(stage: Stage) -> None:
    first, second = (stage.begun(stage.adapter(), method="exchange") for _ in range(2))
    second.private = first.private
    with pytest.raises(KeyDamaged):
        ephemeral(second, stage.vault)


def test_a_key_agreed_with_the_concentrator_never_comes_here_and_serves_once_confirmed(stage: Stage) -> None:
    adapter = stage.adapter()
    delivery = stage.begun(adapter, method="exchange", partner="concentrator")
    key = delivery.key
    assert key is not None
    assert (key.partner, key.held, key.check_value) == (stage.concentrator.eui, False, "")
    assert (delivery.partner, bytes(delivery.private)) == (stage.concentrator.eui, b"")
    with pytest.raises(KeyDamaged):
        stage.vault.open(key)
    assert answered(delivery, OTHER, NOON).state == "active"
    key.refresh_from_db()
    assert (key.state, key.check_value) == ("active", OTHER.hex())


def test_keys_that_no_telegram_names_serve_once_confirmed(stage: Stage) -> None:
    delivery = stage.begun(stage.adapter(), purpose="transport")
    assert stage.confirmed(delivery).state == "active"
    assert not Notice.objects.exists()


def test_another_check_value_fails_the_delivery_and_revokes_the_key(stage: Stage) -> None:
    delivery = answered(stage.begun(stage.adapter()), OTHER, NOON)
    assert (delivery.state, delivery.code) == ("failed", "wrong_check_value")
    assert "another key" in delivery.message
    assert delivery.key is not None
    assert (delivery.key.state, delivery.key.forgotten_at) == ("revoked", NOON)


def test_a_repeated_answer_changes_nothing(stage: Stage) -> None:
    delivery = stage.confirmed(stage.begun(stage.adapter()))
    entries = Entry.objects.count()
    assert stage.confirmed(delivery, NOON + HOUR).state_at == NOON
    assert answered(delivery, OTHER, NOON).state == "confirmed"
    assert Entry.objects.count() == entries


def test_what_was_not_answered_is_tried_again_as_the_very_same_message(stage: Stage) -> None:
    first = stage.begun(stage.adapter())
    assert sent(first, NOON, NOON + HOUR)
    again = failed(first, "gateway_busy", "The concentrator had no time.", NOON, retry_at=NOON + HOUR)
    assert (again.state, again.due_at, again.message) == ("delivering", NOON + HOUR, "The concentrator had no time.")
    lost = failed(again, "not_answered", "", NOON + HOUR)
    assert lost.state == "failed"
    assert lost.key is not None
    assert lost.key.state == "delivering"
    planned = retry(stage.cast.custodian, lost)
    second = begin(planned.pk, NOON + 2 * HOUR, stage.vault)
    assert second is not None
    assert (second.key, second.seq) == (first.key, first.seq)


def test_what_was_refused_is_tried_again_with_another_key_and_a_higher_number(stage: Stage) -> None:
    first = stage.begun(stage.adapter())
    refused = failed(first, "slot_taken", "", NOON)
    second = begin(retry(stage.cast.custodian, refused).pk, NOON + HOUR, stage.vault)
    assert second is not None
    assert second.key != first.key
    assert (first.seq, second.seq) == (1, 2)


def test_a_late_answer_counts_although_nobody_waited_for_it(stage: Stage) -> None:
    lost = failed(stage.begun(stage.adapter()), "not_answered", "", NOON)
    assert stage.confirmed(lost, NOON + HOUR).state == "confirmed"


def test_a_telegram_under_a_key_whose_answer_was_lost_puts_it_in_use(stage: Stage) -> None:
    lost = failed(stage.begun(stage.adapter()), "not_answered", "", NOON)
    assert stage.heard(lost.key) == 1
    lost.refresh_from_db()
    assert (lost.state, lost.code) == ("active", "")


def test_a_key_that_is_confirmed_but_not_used_is_given_up_and_the_old_one_stays(stage: Stage) -> None:
    adapter = stage.adapter()
    old = stage.cast.inner_key(adapter)
    delivery = stage.confirmed(stage.begun(adapter))
    mark_used([old.pk], NOON + 47 * HOUR)
    assert give_up(NOON + 48 * HOUR) == 0
    assert give_up(NOON + 49 * HOUR) == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.code) == ("failed", "not_heard")
    assert delivery.key is not None
    assert (delivery.key.state, delivery.key.forgotten_at) == ("revoked", None)
    assert stage.cast.inner_key(adapter) == old


def test_an_adapter_that_says_nothing_at_all_is_waited_for_longer(stage: Stage) -> None:
    stage.confirmed(stage.begun(stage.adapter()))
    assert give_up(NOON + 13 * 24 * HOUR) == 0
    assert give_up(NOON + 15 * 24 * HOUR) == 1


def test_silent_adapters_do_not_stand_before_one_that_is_to_be_given_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "_MAX_AT_ONCE", 1)
    stage.confirmed(stage.begun(stage.adapter()))
    talking = stage.adapter()
    stage.confirmed(stage.begun(talking), NOON + HOUR)
    mark_used([stage.cast.inner_key(talking).pk], NOON + 48 * HOUR)
    assert give_up(NOON + 50 * HOUR) == 1


def test_cancelling_leaves_a_confirmed_key_alone_and_a_sent_one_open(stage: Stage) -> None:
    confirmed = stage.confirmed(stage.begun(stage.adapter()))
    cancel(stage.cast.custodian, confirmed.campaign, "mistake")
    confirmed.refresh_from_db()
    assert confirmed.state == "confirmed"
    sending = stage.begun(stage.adapter(), method="delivery")
    cancel(stage.cast.custodian, sending.campaign, "mistake")
    sending.refresh_from_db()
    assert sending.state == "cancelled"
    assert sending.key is not None
    assert sending.key.opens
    with pytest.raises(Conflict, match="cancelled"):
        retry(stage.cast.custodian, sending)


def test_a_full_key_memory_gives_up_its_oldest_forgotten_key(stage: Stage) -> None:
    adapter = stage.adapter()
    others = [issue_inner_key(STAGE, adapter) for _ in range(7)]
    refused = stage.begun(adapter)
    assert (refused.state, refused.code, refused.seq) == ("failed", "no_slot", None)
    revoke(STAGE, others[4], "unused")
    again = begin(retry(stage.cast.custodian, refused).pk, NOON, stage.vault)
    assert again is not None
    assert again.key is not None
    assert again.key.slot == others[4].slot
    assert DeviceKey.objects.get(pk=others[4].pk).state == "destroyed"


def test_an_adapter_that_was_moved_away_fails_with_a_reason(stage: Stage) -> None:
    adapter = stage.adapter()
    planned = stage.plan(adapter).deliveries.get()
    adapter.concentrator = None
    adapter.save()
    made = begin(planned.pk, NOON, stage.vault)
    assert made is not None
    assert (made.state, made.code) == ("failed", "no_concentrator")


def test_sequence_numbers_rise_survive_a_restored_backup_and_begin_anew_with_another_transport_key(
    stage: Stage,
) -> None:
    adapter = stage.adapter()
    assert [next_seq(adapter), next_seq(adapter), next_seq(adapter, "00800000a0000001")] == [1, 2, 1]
    seen_seq(adapter, "portal", 700)
    seen_seq(adapter, "portal", 3)
    assert next_seq(adapter) == 701
    seen_seq(adapter, "portal", 0xFFFF)
    used_up = stage.begun(adapter)
    assert (used_up.state, used_up.code) == ("failed", "sequence_used_up")
    transport = DeviceKey.objects.get(adapter=adapter, purpose="transport", partner="portal")
    transport.version = 2
    transport.save()
    assert next_seq(adapter) == 1


def test_a_crash_while_a_delivery_begins_leaves_it_planned(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = stage.plan(stage.adapter()).deliveries.get()
    keys = DeviceKey.objects.count()

    def crash(*_: object, **__: object) -> None:
        raise SystemExit

    monkeypatch.setattr(Delivery, "save", crash)
    with pytest.raises(SystemExit):
        begin(planned.pk, NOON, stage.vault)
    monkeypatch.undo()
    assert Delivery.objects.get(pk=planned.pk).state == "planned"
    assert DeviceKey.objects.count() == keys
    assert begin(planned.pk, NOON, stage.vault) is not None
    assert connection.in_atomic_block
