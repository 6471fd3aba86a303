"""What is deleted when, and what is not."""

from datetime import UTC, datetime, timedelta

import pytest

from meterwire.messages import timestamp, ulid
from portal.telemetry import retention
from portal.telemetry.models import AdapterEvent, Reading, Telegram
from portal.telemetry.services import record_protocol_error
from tests.portal.stage import NOON, Stage
from tests.portal.telemetry.sealed_stage import keep_sealed

pytestmark = pytest.mark.django_db
NOW = datetime.fromtimestamp(NOON, UTC)


def test_old_rows_go_and_young_ones_stay(stage: Stage) -> None:
    device = stage.device()
    for days in (500, 399, 0):
        at = NOON - days * 86_400
        name = ulid(at, days.to_bytes(10, "big"))
        stage.run(device.telegram(id=name, received_at=timestamp(at)), now=at)
        record_protocol_error(stage.source, "x", "format", "", datetime.fromtimestamp(at, UTC))
    AdapterEvent.objects.filter(at__lt=NOW - timedelta(days=400)).update(stored_at=NOW - timedelta(days=500))
    deleted = retention.apply(NOW, {"telegrams": 400, "readings": 450, "events": 400, "hours": 0})
    assert deleted == {"telegrams": 1, "readings": 2, "events": 1}
    assert Telegram.objects.count() == AdapterEvent.objects.count() == 2
    assert Reading.objects.count() == 4


def test_a_concentrator_with_a_wrong_clock_loses_nothing_early(stage: Stage) -> None:
    stage.run(stage.device().telegram(id=ulid(40, bytes(10)), received_at=timestamp(40)))
    assert retention.apply(NOW, {"telegrams": 400}) == {"telegrams": 0}


def test_nothing_is_deleted_where_nothing_is_asked(stage: Stage) -> None:
    stage.run(stage.device().telegram())
    assert retention.apply(NOW + timedelta(days=10_000), {"telegrams": 0, "readings": 0}) == {}
    assert Telegram.objects.exists()


def test_much_is_deleted_in_pieces(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PIECE", 3)
    device = stage.device()
    stage.run(*(device.telegram() for _ in range(5)))
    assert retention.apply(NOW + timedelta(days=2), {"readings": 1}) == {"readings": 10}


def test_a_telegram_in_which_values_rest_is_kept_as_long_as_readings_are(stage: Stage) -> None:
    keep_sealed(stage)
    device = stage.device()
    for days in (500, 420, 0):
        at = NOON - days * 86_400
        name = ulid(at, days.to_bytes(10, "big"))
        stage.run(device.telegram(id=name, received_at=timestamp(at)), now=at)
    assert retention.apply(NOW, {"telegrams": 400, "readings": 450}) == {"telegrams": 1, "readings": 2}
    assert Telegram.objects.count() == 2
    assert retention.apply(NOW, {"telegrams": 400, "readings": 0}) == {"telegrams": 0}
