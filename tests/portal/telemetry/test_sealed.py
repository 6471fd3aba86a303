"""An organisation that stores its values sealed: the pipeline proves and dates them, and keeps none of them clear."""

import pytest
from django.db import connection

from meterwire.ids import DevEUI
from meterwire.resting import StoredOpener, rests
from meterwire.values_telegram import Mode
from portal.telemetry.arrivals import Arrival, moment
from portal.telemetry.models import AdapterEvent, HourRollup, Reading, Telegram
from portal.telemetry.rollups import roll_up
from portal.telemetry.services import set_aside
from provisioning.keys.models import DeviceKey
from tests.portal.stage import NOON, Device, Stage, telegram
from tests.portal.telemetry.sealed_stage import CANARIES, CANARY, sealed

__all__ = ["sealed"]


def opened(stage: Stage, device: Device, arrival: Arrival) -> list[tuple[int, int]]:
    """What the stored telegram holds, read with the key that its row names."""
    row = Telegram.objects.get(adapter=device.row, counter=arrival.counter, error=None)
    key = DeviceKey.objects.get(adapter=device.row)
    assert row.key_id == key.pk
    opener = StoredOpener(stage.vault.open_inner(key), DevEUI.parse(device.row.dev_eui))
    assert row.counter is not None
    return opener.open(bytes(row.payload), row.counter)


@pytest.mark.parametrize("mode", [Mode.VALUES, Mode.ALL, Mode.CLEAR])
def test_a_reading_has_no_value_and_its_telegram_still_opens(sealed: Stage, mode: Mode) -> None:
    device = sealed.device()
    (arrival,) = sealed.run(device.telegram(*CANARIES, mode=mode))
    assert arrival.error is None
    assert list(Reading.objects.order_by("register").values_list("register", "value")) == [(1, None), (2, None)]
    assert opened(sealed, device, arrival) == list(CANARIES)


def test_only_a_clear_telegram_is_changed_before_it_rests(sealed: Stage) -> None:
    device = sealed.device()
    quiet, loud = device.telegram(*CANARIES), device.telegram(*CANARIES, mode=Mode.CLEAR)
    sealed.run(quiet, loud)
    first, second = (bytes(row.payload) for row in Telegram.objects.order_by("counter"))
    assert first == quiet.payload
    assert rests(second)
    assert second != loud.payload


def test_a_wrong_tag_is_refused_as_anywhere_else(sealed: Stage) -> None:
    others = sealed.device().telegram(*CANARIES).payload
    (arrival,) = sealed.run(sealed.device().telegram(payload=others))
    assert arrival.error == "tag_mismatch"
    assert Telegram.objects.get().key_id is None


def test_of_a_refused_clear_telegram_no_value_is_kept(sealed: Stage) -> None:
    device = sealed.device()
    payload = device.telegram(*CANARIES, mode=Mode.CLEAR).payload
    broken = payload[:-1] + bytes((payload[-1] ^ 1,))
    (arrival,) = sealed.run(device.telegram(payload=broken))
    assert arrival.error == "tag_mismatch"
    assert bytes(Telegram.objects.get().payload) == broken[:3]


def test_of_a_stranger_s_clear_telegram_no_value_is_kept(sealed: Stage) -> None:
    payload = sealed.device().telegram(*CANARIES, mode=Mode.CLEAR).payload
    (arrival,) = sealed.run(telegram("70b3d57ed1ffffff", payload=payload))
    assert arrival.error == "unknown_adapter"
    assert bytes(Telegram.objects.get().payload) == payload[:3]


@pytest.mark.parametrize("mode", [Mode.VALUES, Mode.CLEAR])
def test_a_repeated_telegram_is_a_duplicate_and_no_attack(sealed: Stage, mode: Mode) -> None:
    device = sealed.device()
    first = device.telegram(*CANARIES, mode=mode)
    sealed.run(first)
    (again,) = sealed.run(device.telegram(*CANARIES, mode=mode, payload=first.payload, counter=first.counter))
    assert again.known
    assert Telegram.objects.count() == 1


def test_other_bytes_under_the_same_counter_keep_no_key(sealed: Stage) -> None:
    device = sealed.device()
    sealed.run(device.telegram(*CANARIES, seal_counter=1000))
    (arrival,) = sealed.run(device.telegram((1, 7), seal_counter=1000))
    assert arrival.error == "replay_other_bytes"
    assert Telegram.objects.get(error__isnull=False).key_id is None


def test_hours_hold_nothing_of_it(sealed: Stage) -> None:
    sealed.run(sealed.device().telegram(*CANARIES))
    roll_up(moment(round((NOON + 7200) * 1e6)))
    assert not HourRollup.objects.exists()


@pytest.mark.parametrize("mode", [Mode.VALUES, Mode.ALL, Mode.CLEAR])
def test_a_dump_of_every_table_holds_neither_a_value_nor_a_key(sealed: Stage, mode: Mode) -> None:
    device = sealed.device()
    sealed.run(device.telegram(*CANARIES, mode=mode))
    key = sealed.vault.open_inner(DeviceKey.objects.get(adapter=device.row)).reveal()
    dump = everything()
    for secret in (CANARY, CANARIES[1][1]):
        assert str(secret).encode() not in dump
        assert secret.to_bytes(5) not in dump
    assert key not in dump
    assert key.hex().encode() not in dump


def test_the_same_dump_of_another_organisation_does_hold_it(stage: Stage) -> None:
    stage.run(stage.device().telegram(*CANARIES, mode=Mode.CLEAR))
    dump = everything()
    assert str(CANARY).encode() in dump
    assert CANARY.to_bytes(5) in dump


def test_what_nobody_could_store_is_set_aside_without_its_clear_values(sealed: Stage) -> None:
    loud, quiet = (sealed.device().telegram(*CANARIES, mode=mode) for mode in (Mode.CLEAR, Mode.VALUES))
    for one in (loud, quiet):
        set_aside(Arrival(one, sealed.source), ValueError(), round(NOON * 1e6))
    kept = [event.detail["payload"] for event in AdapterEvent.objects.order_by("stored_at")]
    assert kept == [loud.payload[:3].hex(), quiet.payload.hex()]


def everything() -> bytes:
    """Every cell of every table, as text or as bytes."""
    cells = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            for row in cursor.fetchall():
                cells += [bytes(cell) if isinstance(cell, bytes | memoryview) else str(cell).encode() for cell in row]
    return b"\n".join(cells)
