"""Taking away the clear values of the time before: only what the telegram yields, resumable, and nothing left over."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import QuerySet

from meterwire.values_telegram import Mode
from portal.telemetry import sealed_history
from portal.telemetry.arrivals import moment
from portal.telemetry.models import DayRollup, HourRollup, Reading, Telegram
from portal.telemetry.rollups import roll_up
from portal.telemetry.sealed_asking import open_values
from portal.telemetry.sealed_history import seal_history
from provisioning.audit.models import Entry
from provisioning.errors import Conflict
from provisioning.keys.models import DeviceKey, KeyState
from provisioning.keys.services import destroy, reseal_step, revoke
from provisioning.pairing.models import PairingStep
from tests.portal.stage import NOON, Device, Stage
from tests.portal.telemetry.sealed_stage import CANARIES, CANARY, END, START, keep_sealed, person, send
from tests.portal.telemetry.test_sealed import everything

LATER = moment(round(NOON * 1e6)) + timedelta(days=2)


@pytest.fixture
def device(stage: Stage) -> Device:
    """With a past in clear: telegrams of every mode, condensed hours and a day; sealed from now on."""
    device = stage.device()
    stage.run(*(device.telegram(*CANARIES, mode=mode) for mode in (Mode.VALUES, Mode.ALL, Mode.CLEAR)))
    roll_up(LATER)
    keep_sealed(stage)
    return device


def clear(device: Device) -> int:
    return Reading.objects.filter(adapter=device.row, value__isnull=False).count()


def opened(stage: Stage, device: Device) -> list[int]:
    found = open_values(person(stage), "fault", start=START, end=END, adapter=device.row.pk)
    return sorted(found.values().values())


def test_nothing_clear_is_left_and_all_of_it_opens(stage: Stage, device: Device) -> None:
    tally = seal_history(stage.vault, stage.organisation)
    assert (tally.adapters, tally.sealed, tally.clear) == (1, 6, 0)
    assert clear(device) == 0
    assert not HourRollup.objects.exists()
    assert not DayRollup.objects.exists()
    roll_up(LATER + timedelta(hours=1))
    dump = everything()
    assert str(CANARY).encode() not in dump
    assert CANARY.to_bytes(5) not in dump
    assert opened(stage, device) == sorted([value for _, value in CANARIES] * 3)


def test_it_is_noted_in_the_audit_without_values(stage: Stage, device: Device) -> None:
    seal_history(stage.vault, stage.organisation)
    entry = Entry.objects.get(action="telemetry.history_sealed")
    assert (entry.actor_name, entry.object_id) == ("command seal_history", str(device.row.pk))
    assert entry.data == {"values": 6, "telegrams": 3}


def test_a_second_run_finds_nothing_to_do(stage: Stage, device: Device) -> None:
    seal_history(stage.vault, stage.organisation)
    again = seal_history(stage.vault, stage.organisation)
    assert (again.sealed, again.clear) == (0, 0)
    assert Entry.objects.filter(action="telemetry.history_sealed").count() == 1


@pytest.mark.parametrize("statement", range(1, 5))
def test_a_run_that_is_killed_at_any_write_is_taken_up_by_the_next(
    stage: Stage, device: Device, monkeypatch: pytest.MonkeyPatch, statement: int
) -> None:
    update, count = QuerySet.update, 0

    def failing(rows, **fields):  # type: ignore[no-untyped-def]
        nonlocal count
        done = update(rows, **fields)
        count += rows.model in {Telegram, Reading}
        if count == statement:
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(sealed_history, "CHUNK", 2)
    with monkeypatch.context() as patched:
        patched.setattr(QuerySet, "update", failing)
        with pytest.raises(KeyboardInterrupt):
            seal_history(stage.vault, stage.organisation)
    telegrams = dict(Telegram.objects.values_list("counter", "key_id"))
    values = dict(Reading.objects.filter(register=1).values_list("counter", "value"))
    assert all((key is None) == (values[counter] == CANARY) for counter, key in telegrams.items() if counter)
    assert seal_history(stage.vault, stage.organisation).clear == 0
    assert opened(stage, device) == sorted([value for _, value in CANARIES] * 3)


def test_what_the_telegram_does_not_yield_stays_and_is_counted(stage: Stage, device: Device) -> None:
    first, second, third = Telegram.objects.order_by("counter")
    first.delete()
    payload = bytes(second.payload)
    Telegram.objects.filter(pk=second.pk).update(payload=payload[:-1] + bytes((payload[-1] ^ 1,)))
    Reading.objects.filter(counter=third.counter or 0, register=1).update(value=5)
    tally = seal_history(stage.vault, stage.organisation)
    assert (tally.sealed, tally.clear) == (0, 6)
    assert not Telegram.objects.filter(key__isnull=False).exists()


def test_of_a_destroyed_key_the_values_stay_clear(stage: Stage, device: Device) -> None:
    DeviceKey.objects.filter(adapter=device.row).update(state=KeyState.DESTROYED, sealed=b"")
    assert seal_history(stage.vault, stage.organisation).clear == 6


def test_a_key_that_was_revoked_long_ago_is_needed_again(stage: Stage, device: Device) -> None:
    custodian, key = person(stage, "custodian"), DeviceKey.objects.get(adapter=device.row)
    revoke(custodian, key, "replaced")
    reseal_step(stage.vault)
    seal_history(stage.vault, stage.organisation)
    assert reseal_step(stage.vault) == 3
    destroy(custodian, key, "replaced")
    assert opened(stage, device) == sorted([value for _, value in CANARIES] * 3)


def test_an_hour_of_which_something_stays_clear_is_condensed_anew(stage: Stage, device: Device) -> None:
    Telegram.objects.order_by("-counter")[0].delete()
    seal_history(stage.vault, stage.organisation)
    roll_up(LATER + timedelta(hours=1))
    assert HourRollup.objects.get(register=1).count == 1
    assert DayRollup.objects.get(register=1).count == 1


def test_refused_clear_telegrams_and_first_readings_are_forgotten_too(stage: Stage) -> None:
    device = stage.device()
    pairing = stage.pair(device.row, stage.metering_point())
    step = PairingStep.objects.create(
        pairing=pairing, step="reading", at=START, detail={"value": "56841.020", "unit": "kWh"}
    )
    payload = device.telegram(*CANARIES, mode=Mode.CLEAR).payload
    stage.run(device.telegram(payload=payload[:-1] + bytes((payload[-1] ^ 1,))))
    keep_sealed(stage)
    seal_history(stage.vault, stage.organisation)
    step.refresh_from_db()
    assert step.detail == {"value": "", "unit": "kWh"}
    assert bytes(Telegram.objects.get().payload) == payload[:3]


def test_other_organisations_keep_their_values(stage: Stage, device: Device) -> None:
    other = Stage("fremdwerke")
    theirs = other.device()
    send(other, theirs, range(5, 8))
    seal_history(stage.vault, stage.organisation)
    assert clear(theirs) == 6


def test_an_organisation_that_stores_clear_values_is_refused(stage: Stage) -> None:
    with pytest.raises(Conflict):
        seal_history(stage.vault, stage.organisation)


def test_the_command_says_what_it_did_and_what_stays(stage: Stage, device: Device) -> None:
    Telegram.objects.order_by("counter")[0].delete()
    out = StringIO()
    call_command("seal_history", stage.organisation.slug, stdout=out)
    assert "1 adapters, 4 values sealed" in out.getvalue()
    assert "2 values stay clear" in out.getvalue()


@pytest.mark.django_db
def test_the_command_refuses_an_organisation_that_does_not_exist() -> None:
    with pytest.raises(CommandError):
        call_command("seal_history", "nobody")
