"""Revoking an adapter or a concentrator: at once, completely, and with what hangs on them."""

import pytest

from provisioning.accounts.actors import Actor
from provisioning.audit.models import Entry
from provisioning.campaigns.models import Notice
from provisioning.campaigns.services import owe_revocations
from provisioning.errors import Conflict, Invalid
from provisioning.fleet import revocation
from provisioning.fleet.models import Concentrator
from provisioning.fleet.queries import broker_accounts
from provisioning.fleet.services import approve_key, reset_password, revoke_concentrator
from provisioning.keys.device_table import device_table
from provisioning.keys.models import DeviceKey
from provisioning.keys.services import (
    activate,
    issue_adapter_keys,
    issue_inner_key,
    issue_storage_key,
    reinstate_adapter,
    revoke_adapter,
)
from tests.cast import STAGE
from tests.provisioning.campaigns.stage import NOON, Stage


def test_a_revoked_adapter_loses_all_its_keys_and_its_place_in_the_device_table(stage: Stage) -> None:
    adapter, other = stage.adapter(), stage.adapter()
    issue_storage_key(STAGE, adapter)
    before = Concentrator.objects.get(pk=stage.concentrator.pk).desired_revision
    revoke_adapter(stage.cast.custodian, adapter, "stolen from the cellar")
    states = dict(DeviceKey.objects.filter(adapter=adapter).values_list("purpose", "state"))
    assert states == {"root": "revoked", "inner": "revoked", "transport": "revoked", "storage": "active"}
    assert [entry.dev_eui for entry in device_table(stage.concentrator, stage.vault)] == [other.dev_eui]
    assert Concentrator.objects.get(pk=stage.concentrator.pk).desired_revision == before + 1
    entry = Entry.objects.latest("id")
    assert (entry.action, entry.data["reason"]) == ("adapter.revoked", "stolen from the cellar")


def test_its_deliveries_and_notices_end_with_it(stage: Stage) -> None:
    sending, confirmed = stage.begun(stage.adapter()), stage.confirmed(stage.begun(stage.adapter()))
    told = stage.begun(stage.adapter())
    stage.heard(told.key)
    for delivery in (sending, confirmed, told):
        revoke_adapter(stage.cast.custodian, delivery.adapter, "stolen")
        delivery.refresh_from_db()
    assert [delivery.state for delivery in (sending, confirmed, told)] == ["cancelled", "cancelled", "active"]
    assert list(Notice.objects.values_list("state", "code")) == [("failed", "revoked")]


def test_an_adapter_is_revoked_once_and_with_a_reason(stage: Stage) -> None:
    adapter = stage.adapter()
    with pytest.raises(Invalid) as refusal:
        revoke_adapter(stage.cast.custodian, adapter, "")
    assert refusal.value.field == "reason"
    revoke_adapter(stage.cast.custodian, adapter, "stolen")
    with pytest.raises(Conflict):
        revoke_adapter(stage.cast.custodian, adapter, "stolen")


def test_a_reinstated_adapter_begins_with_new_keys(stage: Stage) -> None:
    adapter = stage.adapter()
    old = stage.cast.inner_key(adapter)
    revoke_adapter(stage.cast.custodian, adapter, "lost")
    assert stage.plan(adapter).deliveries.get().code == "revoked"
    reinstate_adapter(stage.cast.custodian, adapter, "found under the stairs")
    made = {key.purpose: key for key in issue_adapter_keys(STAGE, adapter)}
    assert set(made) == {"root", "inner", "transport"}
    assert made["inner"].slot != old.slot


def test_a_reinstated_adapter_is_not_told_to_forget_what_it_never_held(stage: Stage) -> None:
    adapter = stage.adapter()
    held, kept = stage.cast.inner_key(adapter), issue_inner_key(STAGE, adapter)
    revoke_adapter(stage.cast.custodian, adapter, "lost")
    assert DeviceKey.objects.get(pk=kept.pk).forgotten_at is not None
    reinstate_adapter(stage.cast.custodian, adapter, "found under the stairs")
    for key in issue_adapter_keys(STAGE, adapter):
        if key.purpose == "transport":
            activate(STAGE, key)
    owe_revocations(NOON)
    assert list(Notice.objects.values_list("key", flat=True)) == [held.pk]


def test_a_revoked_concentrator_loses_its_account_and_its_keys_and_others_end_what_is_theirs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []

    def ending(_: Actor, concentrator: Concentrator, reason: str) -> None:
        told.append((concentrator.eui, reason))

    monkeypatch.setattr(revocation, "_endings", [ending])
    eui = stage.concentrator.eui
    assert eui in dict(broker_accounts())
    revoke_concentrator(stage.cast.operator, stage.concentrator, "stolen")
    row = Concentrator.objects.get(pk=stage.concentrator.pk)
    assert row.revoked_at is not None
    assert (row.online, row.key_approved) == (False, False)
    assert eui not in dict(broker_accounts())
    assert told == [(eui, "stolen")]


def test_a_revoked_concentrator_has_no_way_back(stage: Stage) -> None:
    revoke_concentrator(stage.cast.operator, stage.concentrator, "stolen")
    with pytest.raises(Conflict, match="revoked"):
        reset_password(STAGE, stage.concentrator)
    with pytest.raises(Conflict, match="revoked"):
        approve_key(STAGE, stage.concentrator, "")
    with pytest.raises(Conflict):
        revoke_concentrator(stage.cast.operator, stage.concentrator, "stolen")


def test_adapters_of_a_revoked_concentrator_cannot_take_part_until_they_are_moved(stage: Stage) -> None:
    adapter = stage.adapter()
    revoke_concentrator(stage.cast.operator, stage.concentrator, "stolen")
    delivery = stage.plan(adapter, window_from=NOON.time(), window_to=NOON.replace(hour=13).time()).deliveries.get()
    assert (delivery.state, delivery.code) == ("failed", "concentrator_revoked")
    assert "move the adapter" in delivery.message
