"""Recovered readings of organisations that store values sealed: they rest in the telegram that told them."""

import pytest

from meterwire.messages import timestamp
from meterwire.seal import InnerKey
from meterwire.values_telegram import Mode
from portal.telemetry.arrivals import moment
from portal.telemetry.models import Reading
from portal.telemetry.sealed_asking import open_values
from portal.telemetry.sealed_history import seal_history
from portal.telemetry.sealed_resealing import RESEALER
from provisioning.keys.models import DeviceKey, Purpose
from provisioning.slots.models import Assignment
from tests.portal.stage import NOON, Device, Stage
from tests.portal.telemetry.sealed_stage import END, START, keep_sealed, person, sealed

__all__ = ["sealed"]
pytestmark = pytest.mark.django_db

CANARY, STEP = 56_841_020_117, 4_711


@pytest.fixture
def device(stage: Stage) -> Device:
    device = stage.device()
    Assignment.objects.create(
        adapter=device.row, organisation=stage.organisation, concentrator=stage.concentrator, period_s=900,
        length_ms=200, version=1, echoed_version=1,
    )  # fmt: skip
    return device


def lose_one(stage: Stage, device: Device, mode: Mode = Mode.VALUES) -> None:
    """Counters 1000 and 1002 arrive; 1002 tells the value of 1001."""
    device.counter += 1
    at = timestamp(NOON + 1800)
    telling = device.telegram((1, CANARY + STEP), (2, 5), (0, STEP), mode=mode, seal_counter=1002, received_at=at)
    stage.run(device.telegram((1, CANARY - 9), (2, 5), mode=mode, seal_counter=1000), telling, now=NOON + 1801)


def opened(stage: Stage, device: Device) -> dict[tuple[int, int], int]:
    found = open_values(person(stage), "billing", start=START, end=END, adapter=device.row.pk)
    assert found.closed == 0
    return {(counter, register): value for (_, counter, register), value in found.values().items()}


ALL = {(1000, 1): CANARY - 9, (1000, 2): 5, (1001, 1): CANARY, (1002, 1): CANARY + STEP, (1002, 2): 5}


@pytest.mark.parametrize("mode", [Mode.VALUES, Mode.ALL, Mode.CLEAR])
def test_it_is_stored_without_its_value_and_opened_like_the_others(sealed: Stage, device: Device, mode: Mode) -> None:
    lose_one(sealed, device, mode)
    row = Reading.objects.get(recovered=True)
    assert (row.counter, row.register, row.value) == (1001, 1, None)
    assert row.measured_at < moment(round((NOON + 901) * 1e6))
    assert opened(sealed, device) == ALL


def test_it_opens_alone_too(sealed: Stage, device: Device) -> None:
    lose_one(sealed, device)
    at = Reading.objects.get(recovered=True).measured_at
    found = open_values(person(sealed), "fault", start=at, end=END, adapter=device.row.pk, registers=[1])
    assert found.values()[device.row.pk, 1001, 1] == CANARY


def test_history_that_was_stored_clear_is_sealed_with_it(stage: Stage, device: Device) -> None:
    lose_one(stage, device)
    assert Reading.objects.get(recovered=True).value == CANARY
    keep_sealed(stage)
    tally = seal_history(stage.vault, stage.organisation)
    assert (tally.sealed, tally.clear) == (5, 0)
    assert opened(stage, device) == ALL


def test_a_recovered_value_that_its_telegram_does_not_tell_stays_clear(stage: Stage, device: Device) -> None:
    lose_one(stage, device)
    Reading.objects.filter(recovered=True).update(value=CANARY + 1)
    keep_sealed(stage)
    tally = seal_history(stage.vault, stage.organisation)
    assert tally.clear == 3  # and what that telegram itself brought, for it is not proven


def test_it_outlives_the_key_it_came_under(sealed: Stage, device: Device) -> None:
    lose_one(sealed, device)
    storage = sealed.hold(device.row, InnerKey(bytes(range(16))), slot=None, purpose=Purpose.STORAGE)
    inner = DeviceKey.objects.get(adapter=device.row, purpose=Purpose.INNER)
    assert RESEALER.reseal(sealed.vault, inner, storage, 10) == 2
    assert opened(sealed, device) == ALL
