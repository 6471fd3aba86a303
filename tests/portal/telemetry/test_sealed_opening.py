"""Opening values that are stored sealed: who may, what for, what the audit keeps, and what stays closed."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from meterwire.errors import FormatError
from meterwire.seal import InnerKey
from portal.telemetry import sealed_opening
from portal.telemetry.models import Reading, Telegram
from portal.telemetry.sealed_asking import OPEN_VALUES, Opened, Wanted, open_all, open_values
from portal.telemetry.sealed_opening import Openers
from provisioning.accounts.models import ApiToken, Membership, User
from provisioning.accounts.services import create_token
from provisioning.audit.models import Entry
from provisioning.errors import Forbidden, Invalid
from provisioning.fleet.models import Adapter
from provisioning.keys.models import DeviceKey, KeyState
from provisioning.keys.vault_operations import asker, perform
from tests.portal.stage import Device, Stage
from tests.portal.telemetry.sealed_stage import CANARIES, CANARY, END, START, person, sealed, send

__all__ = ["sealed"]


def opened(actor: User | ApiToken, adapter: Adapter, purpose: str = "billing", **changes: Any) -> Opened:
    return open_values(actor, purpose, **{"start": START, "end": END, "adapter": adapter.pk, **changes})


@pytest.fixture
def device(sealed: Stage) -> Device:
    """With one telegram of the canaries stored."""
    device = sealed.device()
    sealed.run(device.telegram(*CANARIES))
    return device


def test_an_operator_opens_what_was_sent(sealed: Stage, device: Device) -> None:
    found = opened(person(sealed), device.row)
    assert found.values() == {(device.row.pk, 1000, register): value for register, value in CANARIES}
    assert (found.closed, found.until) == (0, None)


def test_one_opening_is_one_audit_row_without_the_values(sealed: Stage, device: Device) -> None:
    send(sealed, device, range(10, 20))
    operator = person(sealed)
    opened(operator, device.row, "customer", registers=[1])
    entry = Entry.objects.get(action="readings.opened")
    assert (entry.actor_id, entry.object_type, entry.object_id) == (operator.pk, "adapter", str(device.row.pk))
    assert (entry.data["purpose"], entry.data["count"], entry.data["registers"]) == ("customer", 11, [1])
    assert str(CANARY) not in str(entry.data)


def test_rare_values_of_years_are_opened_in_several_openings(sealed: Stage, device: Device) -> None:
    years = START + timedelta(days=900)
    Reading.objects.filter(adapter=device.row, register=2).update(measured_at=years)
    found = open_all(person(sealed), "billing", adapter=device.row.pk, registers=[1, 2], first=START, last=years)
    assert found == {(1000, register): value for register, value in CANARIES}
    assert Entry.objects.filter(action="readings.opened").count() == 3


def test_chosen_registers_only(sealed: Stage, device: Device) -> None:
    found = opened(person(sealed), device.row, registers=[2])
    assert list(found.values()) == [(device.row.pk, 1000, 2)]


def test_of_a_metering_point_what_its_adapters_measured_for_it(sealed: Stage) -> None:
    device, point = sealed.device(), sealed.metering_point()
    sealed.pair(device.row, point)
    sealed.run(device.telegram(*CANARIES))
    found = open_values(person(sealed), "grid", start=START, end=END, metering_point=point.pk)
    assert set(found.values().values()) == {value for _, value in CANARIES}
    assert Entry.objects.get(action="readings.opened").object_type == "meteringpoint"


@pytest.mark.parametrize("role", ["custodian", "auditor", "installer", "administrator"])
def test_other_roles_open_nothing_and_leave_no_opening_in_the_audit(sealed: Stage, device: Device, role: str) -> None:
    with pytest.raises(Forbidden):
        opened(person(sealed, role), device.row)
    assert not Entry.objects.filter(action="readings.opened").exists()


def test_who_lost_the_role_in_between_opens_nothing(sealed: Stage, device: Device) -> None:
    operator = person(sealed)
    opened(operator, device.row)
    Membership.objects.filter(user=operator).update(role="auditor")
    with pytest.raises(Forbidden):
        opened(operator, device.row)


def test_who_was_locked_out_in_between_opens_nothing(sealed: Stage, device: Device) -> None:
    operator = person(sealed)
    User.objects.filter(pk=operator.pk).update(is_active=False)
    with pytest.raises(Forbidden):
        opened(operator, device.row)


def test_a_member_limited_to_other_sites_opens_nothing(sealed: Stage, device: Device) -> None:
    operator = person(sealed)
    Membership.objects.filter(user=operator).update(all_sites=False)
    with pytest.raises(Forbidden):
        opened(operator, device.row)


def test_a_member_of_another_organisation_learns_no_more_than_of_an_adapter_that_does_not_exist(
    sealed: Stage, device: Device
) -> None:
    outsider = person(Stage("fremdwerke"))
    with pytest.raises(Forbidden) as refused:
        opened(outsider, device.row)
    with pytest.raises(Forbidden) as unknown:
        open_values(outsider, "billing", start=START, end=END, adapter=device.row.pk + 1000)
    assert str(refused.value) == str(unknown.value)


def test_a_token_opens_when_it_may_do_more_than_read(sealed: Stage, device: Device) -> None:
    operator = person(sealed)
    able = create_token(operator, sealed.organisation, "billing", read_only=False).token
    assert len(opened(able, device.row).values()) == 2
    reader = create_token(operator, sealed.organisation, "charts").token
    with pytest.raises(Forbidden):
        opened(reader, device.row)
    ApiToken.objects.filter(pk=able.pk).update(revoked_at=START)
    with pytest.raises(Forbidden):
        opened(able, device.row)


@pytest.mark.parametrize("purpose", ["", "curiosity", "billing; fault"])
def test_a_purpose_that_is_none_is_refused(sealed: Stage, device: Device, purpose: str) -> None:
    with pytest.raises(Invalid) as refused:
        opened(person(sealed), device.row, purpose)
    assert refused.value.field == "purpose"


@pytest.mark.parametrize("length", [timedelta(0), timedelta(days=-1), timedelta(days=400, seconds=1)])
def test_a_stretch_that_is_empty_or_too_long_is_refused(sealed: Stage, device: Device, length: timedelta) -> None:
    with pytest.raises(Invalid) as refused:
        opened(person(sealed), device.row, end=START + length)
    assert refused.value.field == "range"


def test_neither_or_both_of_adapter_and_metering_point_are_refused(sealed: Stage, device: Device) -> None:
    operator, point = person(sealed), sealed.metering_point()
    with pytest.raises(Invalid):
        opened(operator, device.row, metering_point=point.pk)
    with pytest.raises(Invalid):
        open_values(operator, "billing", start=START, end=END)


def test_too_many_values_are_cut_between_two_moments_and_said(
    sealed: Stage, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_opening, "MAX_VALUES", 5)
    device = sealed.device()
    send(sealed, device, range(100, 106))
    operator = person(sealed)
    taken, start = [], START
    while True:
        found = opened(operator, device.row, start=start)
        taken.append(sorted(found.values().values()))
        if found.until is None:
            break
        start = found.until
    assert taken == [[100, 101, 101, 102], [102, 103, 103, 104], [104, 105, 105, 106]]


def test_what_a_destroyed_key_sealed_stays_closed_and_is_counted(sealed: Stage, device: Device) -> None:
    DeviceKey.objects.filter(adapter=device.row).update(state=KeyState.DESTROYED, sealed=b"")
    found = opened(person(sealed), device.row)
    assert (found.runs, found.closed) == ([], 2)


def test_a_revoked_key_still_opens_history(sealed: Stage, device: Device) -> None:
    DeviceKey.objects.filter(adapter=device.row).update(state=KeyState.REVOKED)
    assert len(opened(person(sealed), device.row).values()) == 2


def test_a_changed_telegram_and_another_device_s_key_stay_closed(sealed: Stage, device: Device) -> None:
    operator, stranger = person(sealed), sealed.device()
    foreign = DeviceKey.objects.get(adapter=stranger.row)
    Telegram.objects.update(key=foreign)
    assert opened(operator, device.row).closed == 2
    own = DeviceKey.objects.get(adapter=device.row)
    payload = bytes(Telegram.objects.get().payload)
    Telegram.objects.update(key=own, payload=payload[:-1] + bytes((payload[-1] ^ 1,)))
    assert opened(operator, device.row).closed == 2


def test_a_key_row_copied_over_from_elsewhere_stays_closed(sealed: Stage, device: Device) -> None:
    other = DeviceKey.objects.get(adapter=sealed.device().row)
    DeviceKey.objects.filter(adapter=device.row).update(sealed=other.sealed)
    assert opened(person(sealed), device.row).closed == 2


def test_what_was_stored_clear_before_is_left_to_the_reader(sealed: Stage, device: Device) -> None:
    Reading.objects.filter(register=1).update(value=7)
    assert list(opened(person(sealed), device.row).values()) == [(device.row.pk, 1000, 2)]


@pytest.mark.parametrize(
    "changes",
    [
        {"adapter": 0},
        {"adapter": 2**63},
        {"purpose": "x" * 21},
        {"registers": list(range(1, 66))},
        {"registers": [0]},
        {"start": "2026-01-01T00:00:00"},
        {"payload": "00"},
    ],
)
def test_arguments_out_of_bounds_are_no_question(sealed: Stage, device: Device, changes: dict[str, Any]) -> None:
    asked = Wanted(asker(person(sealed)), "billing", START, END, device.row.pk)
    arguments = {**msgspec.to_builtins(asked), **changes}
    with pytest.raises(FormatError):
        perform(sealed.vault, OPEN_VALUES, msgspec.json.encode(arguments))


def test_neither_values_nor_keys_show_themselves(sealed: Stage, device: Device) -> None:
    assert str(CANARY) not in repr(opened(person(sealed), device.row))


def test_ciphers_are_kept_by_key_and_in_bounds(sealed: Stage) -> None:
    openers, key = Openers(limit=2), DeviceKey.objects.get(adapter=sealed.device().row)
    first = openers.of(sealed.vault, key)
    assert openers.of(sealed.vault, key) is first
    for _ in range(2):
        openers.of(sealed.vault, DeviceKey.objects.get(adapter=sealed.device().row))
    assert openers.of(sealed.vault, key) is not first


def test_a_key_that_was_sealed_anew_under_the_same_row_is_opened_anew(sealed: Stage) -> None:
    openers, key = Openers(), DeviceKey.objects.get(adapter=sealed.device().row)
    first = openers.of(sealed.vault, key)
    key.sealed = sealed.vault.seal(key, InnerKey(bytes(16)))
    assert openers.of(sealed.vault, key) is not first
