"""Who counts as silent, since when, and whose silence it is."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from meterwire.messages import timestamp
from portal.bridge.models import Bridge
from portal.bridge.tasks import detect_silence, listening
from portal.telemetry.models import AdapterStatus, Silence
from portal.telemetry.silence import detect
from tests.portal.stage import NOON, Device, Stage

pytestmark = pytest.mark.django_db
START = datetime.fromtimestamp(NOON, UTC)


def hear(stage: Stage, *devices: Device, at: float = 0) -> None:
    """Each device is heard `at` seconds after START."""
    telegrams = [device.telegram(received_at=timestamp(NOON + at)) for device in devices]
    stage.run(*telegrams, now=NOON + at + 1)


def every_minute(stage: Stage, *devices: Device) -> None:
    for second in range(0, 600, 60):
        hear(stage, *devices, at=second)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def open_rows() -> list[tuple[int | None, int | None]]:
    return list(Silence.objects.filter(until=None).order_by("pk").values_list("adapter", "concentrator"))


def test_an_adapter_is_silent_after_three_periods(stage: Stage) -> None:
    quiet, talking = stage.device(), stage.device()
    every_minute(stage, quiet, talking)
    detect(after(540 + 175))
    assert not Silence.objects.exists()
    hear(stage, talking, at=700)
    detect(after(540 + 185))
    row = Silence.objects.get()
    assert (row.adapter, row.concentrator, row.since, row.until) == (quiet.row, None, after(540), None)
    assert AdapterStatus.objects.get(adapter=quiet.row).state == "silent"
    assert AdapterStatus.objects.get(adapter=talking.row).state == "heard"


def test_silence_is_opened_once_and_ends_with_the_next_telegram(stage: Stage) -> None:
    quiet, talking = stage.device(), stage.device()
    every_minute(stage, quiet, talking)
    hear(stage, talking, at=1000)
    for second in (1001, 1031, 1061):
        detect(after(second))
    hear(stage, quiet, talking, at=1100)
    detect(after(1101))
    assert Silence.objects.get().until == after(1100)
    assert open_rows() == []


def test_an_adapter_of_unknown_period_is_given_time(stage: Stage) -> None:
    hear(stage, stage.device(), stage.device())
    detect(after(2600))
    assert open_rows() == []
    detect(after(2800))
    assert len(open_rows()) == 1


def test_when_all_adapters_of_a_concentrator_are_silent_it_is_one_row(stage: Stage) -> None:
    devices = [stage.device() for _ in range(5)]
    every_minute(stage, *devices)
    for number, device in enumerate(devices):
        hear(stage, device, at=600 + 10 * number)
    for second in range(780, 900, 10):
        detect(after(second))
    row = Silence.objects.get()
    assert (row.adapter, row.concentrator, row.adapters) == (None, stage.concentrator, 5)
    assert row.since == after(640)


def test_an_older_silence_stays_a_row_of_its_own(stage: Stage) -> None:
    dead, *others = (stage.device() for _ in range(4))
    hear(stage, dead, at=-90_000)
    every_minute(stage, *others)
    detect(after(541))
    assert open_rows() == [(dead.row.pk, None)]
    detect(after(1000))
    assert open_rows() == [(dead.row.pk, None), (None, stage.concentrator.pk)]
    assert Silence.objects.get(adapter=None).adapters == 3


def test_the_first_adapter_heard_again_ends_the_concentrators_silence(stage: Stage) -> None:
    devices = [stage.device() for _ in range(3)]
    every_minute(stage, *devices)
    detect(after(1000))
    hear(stage, devices[0], at=2000)
    detect(after(2001))
    assert Silence.objects.get(concentrator=stage.concentrator).until == after(2000)
    assert open_rows() == [(device.row.pk, None) for device in devices[1:]]


def test_an_archived_adapter_is_not_silent(stage: Stage) -> None:
    device = stage.device()
    every_minute(stage, device)
    device.row.archived_at = START
    device.row.save()
    detect(after(10_000))
    assert open_rows() == []


def test_pages_are_told_who_fell_silent(stage: Stage) -> None:
    devices = [stage.device() for _ in range(2)]
    every_minute(stage, *devices)
    [(channel, body)] = detect(after(5000)).messages()
    assert channel == f"mspan:org:{stage.organisation.pk}"
    assert all(f'"adapter":{device.row.pk}'.encode() in body for device in devices)
    assert detect(after(5001)).messages() == []


def test_a_portal_that_does_not_listen_blames_nobody(stage: Stage) -> None:
    every_minute(stage, stage.device())
    assert not detect_silence()
    now = timezone.now()
    bridge = Bridge.objects.create(name="b", started_at=now - timedelta(hours=1), at=now, connected=True)
    assert detect_silence()
    assert len(open_rows()) == 1
    for change in ({"connected": False}, {"at": now - timedelta(minutes=1)}, {"started_at": now}):
        Bridge.objects.filter(pk=bridge.pk).update(connected=True, at=now, started_at=now - timedelta(hours=1))
        assert listening(now)
        Bridge.objects.filter(pk=bridge.pk).update(**change)
        assert not listening(now)
