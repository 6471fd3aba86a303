"""What the pipeline makes of telegrams."""

import pytest

from portal.telemetry.models import AdapterEvent, AdapterStatus, Reading, Telegram
from tests.portal.stage import NOON, Stage

pytestmark = pytest.mark.django_db


def test_a_sealed_telegram_becomes_one_reading_per_register(stage: Stage) -> None:
    device = stage.device()
    stage.run(device.telegram((1, 56_841_020), (2, 3_197_930), seal_counter=0x1267F))
    rows = Reading.objects.order_by("register").values_list("adapter", "counter", "register", "value")
    assert list(rows) == [(device.row.pk, 0x1267F, 1, 56_841_020), (device.row.pk, 0x1267F, 2, 3_197_930)]
    kept = Telegram.objects.get()
    assert kept.error is None
    assert kept.counter == 0x1267F
    assert kept.key_slot == 1
    assert not kept.sealed
    assert kept.rx == [{"gw": "70b3d57ed0000f01", "rssi": -97.0, "snr": 7.5}]
