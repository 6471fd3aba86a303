"""Sealing stored telegrams under a storage key: values stay, keys can go, and a crash at any step loses nothing."""

from typing import Any

import pytest
from django.db import transaction
from django.db.models import QuerySet

from meterwire.seal import Key16
from meterwire.values_telegram import Mode
from portal.telemetry.models import Telegram
from portal.telemetry.sealed_asking import open_values
from portal.telemetry.sealed_resealing import PIECE, RESEALER
from provisioning.accounts.models import User
from provisioning.errors import Conflict
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.resealing import resealers, waiting
from provisioning.keys.services import destroy, revoke
from provisioning.keys.services.reseal import reseal_step
from tests.portal.stage import Device, Stage
from tests.portal.telemetry.sealed_stage import END, START, person, sealed

__all__ = ["sealed"]

COUNT = 2 * PIECE + 3


class PowerFailure(Exception):
    """The process ends here."""


@pytest.fixture
def device(sealed: Stage) -> Device:
    """With telegrams of every mode stored under its inner key."""
    device = sealed.device()
    modes = (Mode.VALUES, Mode.ALL, Mode.CLEAR)
    sealed.run(*(device.telegram((1, 100 + n), (2, 7), mode=modes[n % 3]) for n in range(COUNT)))
    return device


def keys(sealed: Stage, device: Device) -> tuple[DeviceKey, DeviceKey]:
    """The adapter's inner key, revoked, and a new storage key."""
    inner = DeviceKey.objects.get(adapter=device.row, purpose=Purpose.INNER)
    DeviceKey.objects.filter(pk=inner.pk).update(state=KeyState.REVOKED)
    key = Key16(bytes(range(7, 23)))
    storage = DeviceKey(
        organisation=sealed.organisation, adapter=device.row, purpose=Purpose.STORAGE, state=KeyState.ACTIVE,
        tag_length=8, check_value=key.check_value().hex(),
    )  # fmt: skip
    storage.sealed = sealed.vault.seal(storage, key)
    storage.save()
    return inner, storage


def values(user: User, device: Device) -> list[int]:
    found = open_values(user, "fault", start=START, end=END, adapter=device.row.pk, registers=[1])
    assert not found.closed
    return [value for run in found.runs for value in run.values]


def test_the_telemetry_of_sealed_organisations_is_known_to_the_life_of_keys(sealed: Stage, device: Device) -> None:
    inner, storage = keys(sealed, device)
    assert RESEALER in resealers()
    assert (waiting(inner), waiting(storage)) == (COUNT, 0)


def test_in_steps_all_of_it_goes_over_and_opens_at_every_step(sealed: Stage, device: Device) -> None:
    inner, storage = keys(sealed, device)
    user, everything = person(sealed), list(range(100, 100 + COUNT))
    left = []
    while RESEALER.waiting(inner):
        RESEALER.reseal(sealed.vault, inner, storage, 150)
        left.append(RESEALER.waiting(inner))
        assert values(user, device) == everything
    assert left == [COUNT - 150, COUNT - 300, 0]


def test_when_the_old_key_is_gone_everything_still_opens(sealed: Stage, device: Device) -> None:
    inner, storage = keys(sealed, device)
    RESEALER.reseal(sealed.vault, inner, storage, COUNT)
    DeviceKey.objects.filter(pk=inner.pk).update(state=KeyState.DESTROYED, sealed=b"")
    assert values(person(sealed), device) == list(range(100, 100 + COUNT))


def test_slot_counter_and_registers_are_as_they_were(sealed: Stage, device: Device) -> None:
    inner, storage = keys(sealed, device)
    before = list(Telegram.objects.order_by("counter").values_list("counter", "key_slot", "payload"))
    RESEALER.reseal(sealed.vault, inner, storage, COUNT)
    after = list(Telegram.objects.order_by("counter").values_list("counter", "key_slot", "payload"))
    assert [row[:2] for row in after] == [row[:2] for row in before]
    assert [bytes(row[2])[1:3] for row in after] == [bytes(row[2])[1:3] for row in before]
    assert [len(row[2]) for row in after] == [len(row[2]) for row in before]


@pytest.mark.parametrize("statement", [1, 2, 3])
def test_a_crash_in_the_middle_leaves_old_or_new_but_never_neither(
    sealed: Stage, device: Device, monkeypatch: pytest.MonkeyPatch, statement: int
) -> None:
    inner, storage = keys(sealed, device)
    update, count = QuerySet.update, 0

    def failing(rows: QuerySet[Any], **fields: Any) -> int:
        nonlocal count
        count += 1
        done = update(rows, **fields)
        if count == statement:
            raise PowerFailure
        return done

    with monkeypatch.context() as patched:
        patched.setattr(QuerySet, "update", failing)
        with pytest.raises(PowerFailure), transaction.atomic():
            RESEALER.reseal(sealed.vault, inner, storage, COUNT)
    assert RESEALER.waiting(inner) == COUNT
    assert values(person(sealed), device) == list(range(100, 100 + COUNT))
    RESEALER.reseal(sealed.vault, inner, storage, COUNT)
    assert RESEALER.waiting(inner) == 0


def test_a_damaged_telegram_holds_up_neither_the_others_nor_the_key(sealed: Stage, device: Device) -> None:
    inner, storage = keys(sealed, device)
    first = Telegram.objects.order_by("counter")[0]
    damaged = bytes(first.payload)[:-1] + bytes((bytes(first.payload)[-1] ^ 1,))
    Telegram.objects.filter(pk=first.pk).update(payload=damaged)
    RESEALER.reseal(sealed.vault, inner, storage, COUNT)
    first.refresh_from_db()
    assert RESEALER.waiting(inner) == 0
    assert (bytes(first.payload), first.key_id, first.sealed) == (damaged, None, True)
    assert RESEALER.waiting(storage) == COUNT - 1


def test_a_key_that_does_not_open_lets_its_telegrams_wait(sealed: Stage, device: Device) -> None:
    inner, storage = keys(sealed, device)
    inner.sealed = storage.sealed
    assert RESEALER.reseal(sealed.vault, inner, storage, COUNT) == 0
    assert RESEALER.waiting(inner) == COUNT


def test_other_adapters_and_other_keys_are_left_alone(sealed: Stage, device: Device) -> None:
    other = sealed.device()
    sealed.run(other.telegram((1, 5)))
    inner, storage = keys(sealed, device)
    RESEALER.reseal(sealed.vault, inner, storage, 10 * COUNT)
    assert RESEALER.waiting(DeviceKey.objects.get(adapter=other.row)) == 1


def test_a_key_is_revoked_its_history_sealed_anew_and_the_key_destroyed(sealed: Stage, device: Device) -> None:
    custodian, operator = person(sealed, "custodian"), person(sealed)
    inner = DeviceKey.objects.get(adapter=device.row, purpose=Purpose.INNER)
    revoke(custodian, inner, "the adapter was opened")
    assert values(operator, device) == list(range(100, 100 + COUNT)), "a revoked key still opens history"
    with pytest.raises(Conflict) as refused:
        destroy(custodian, inner, "the adapter was opened")
    assert str(COUNT) in str(refused.value)
    while reseal_step(sealed.vault, 150):
        assert values(operator, device) == list(range(100, 100 + COUNT))
    destroy(custodian, inner, "the adapter was opened")
    assert values(operator, device) == list(range(100, 100 + COUNT))
