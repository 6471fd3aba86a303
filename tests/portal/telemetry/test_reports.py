"""What adapters report on port 33 and prove by hashes is kept in their Configuration, the latest of each."""

from datetime import timedelta

import pytest

from meterwire import config_records
from meterwire.config_records import (
    CommissioningReport,
    ConfigurationRefused,
    CounterReport,
    FirmwareReport,
    OwnIdentity,
    ReadIdentity,
    Resolution,
)
from meterwire.ids import DevEUI
from meterwire.messages import timestamp
from meterwire.values_telegram import Mode
from portal.telemetry.models import AdapterEvent, Reading
from provisioning.pairing.models import Configuration
from tests.portal.stage import NOON, Device, Stage, telegram

pytestmark = pytest.mark.django_db
IDENTITY = 31


def report(stage: Stage, device: Device, *records: config_records.Record, version: int = 0, at: float = NOON) -> None:
    payloads = config_records.encode(version, records)
    stage.run(
        *(telegram(device.row.dev_eui, fport=33, payload=one, received_at=timestamp(at)) for one in payloads),
        now=at + 1,
    )


def test_every_record_is_kept(stage: Stage) -> None:
    device = stage.device()
    report(
        stage, device, CounterReport(70_000), FirmwareReport("1.2.3"), OwnIdentity(DevEUI.parse(device.row.dev_eui)),
        ReadIdentity(0, 1, b"\x0a\x01"), ReadIdentity(3, 0, b""), Resolution(1, -1), CommissioningReport(600),
        ConfigurationRefused(4, 3, "no input 5"), version=3,
    )  # fmt: skip
    row = Configuration.objects.get()
    assert (row.adapter, row.running, row.version) == (device.row, 3, 0)
    assert row.reported_at is not None
    kept = row.reported
    assert (kept["counter"], kept["firmware"], kept["dev_eui"]) == (70_000, "1.2.3", device.row.dev_eui)
    assert (kept["identities"]["0"]["octets"], kept["identities"]["3"]["kind"]) == ("0a01", 0)
    assert kept["resolutions"] == {"1": -1}
    assert kept["commissioning_until"] == str(row.reported_at + timedelta(seconds=600))
    assert (kept["refused"], kept["refusal"]) == (4, "no input 5")
    details = AdapterEvent.objects.filter(kind="registered").values_list("detail", flat=True)
    assert [detail["firmware"] for detail in details if "firmware" in detail] == ["1.2.3"]


def test_parts_add_up_and_a_late_one_changes_nothing(stage: Stage) -> None:
    device = stage.device()
    report(stage, device, FirmwareReport("2.0"), version=2, at=NOON + 60)
    report(stage, device, ReadIdentity(0, 2, b"ABC"), version=2, at=NOON + 61)
    report(stage, device, FirmwareReport("1.0"), version=1, at=NOON)
    row = Configuration.objects.get()
    assert (row.running, row.reported["firmware"], row.reported["identities"]["0"]["octets"]) == (2, "2.0", "414243")


def test_a_refusal_is_forgotten_when_another_version_runs_or_the_firmware_is_new(stage: Stage) -> None:
    device = stage.device()
    report(stage, device, ConfigurationRefused(4, 3, "why"), version=3)
    report(stage, device, CounterReport(1), version=4, at=NOON + 1)
    assert "refusal" not in Configuration.objects.get().reported
    report(stage, device, ConfigurationRefused(5, 3, "why"), version=4, at=NOON + 2)
    report(stage, device, FirmwareReport("3.0"), version=4, at=NOON + 3)
    assert "refused" not in Configuration.objects.get().reported


def test_a_repeated_telegram_is_no_news(stage: Stage) -> None:
    device = stage.device()
    [payload] = config_records.encode(1, [FirmwareReport("1.0")])
    one = telegram(device.row.dev_eui, fport=33, payload=payload)
    stage.run(one)
    before = Configuration.objects.values().get()
    stage.run(one)
    assert Configuration.objects.values().get() == before
    assert AdapterEvent.objects.count() == 1


def test_a_clock_that_is_wrong_does_not_date_a_report_into_the_future(stage: Stage) -> None:
    device = stage.device()
    [payload] = config_records.encode(1, [FirmwareReport("1.0")])
    stage.run(telegram(device.row.dev_eui, fport=33, payload=payload, received_at=timestamp(NOON + 9e6)), now=NOON)
    reported_at = Configuration.objects.get().reported_at
    assert reported_at is not None
    assert reported_at.timestamp() == NOON


@pytest.mark.parametrize("mode", [Mode.VALUES, Mode.ALL, Mode.CLEAR])
def test_hashes_are_proofs_by_input_and_no_readings(stage: Stage, mode: Mode) -> None:
    device = stage.device()
    stage.run(device.telegram((1, 5), (IDENTITY, 77), (32 + 1, 6), (32 + IDENTITY, 88), (32 + 27, 60), mode=mode))
    assert set(Reading.objects.values_list("register", flat=True)) == {1, 33}
    proofs = Configuration.objects.get().reported["proofs"]
    assert {input_: proof["hash"] for input_, proof in proofs.items()} == {"0": 77, "1": 88}


def test_a_hash_may_come_alone(stage: Stage) -> None:
    device = stage.device()
    stage.run(device.telegram((IDENTITY, 77)))
    assert not Reading.objects.exists()
    assert Configuration.objects.get().reported["proofs"]["0"]["hash"] == 77


def test_a_hash_that_stays_sealed_proves_nothing(stage: Stage) -> None:
    stage.run(stage.device(keyed=False).telegram((1, 5), (IDENTITY, 77)))
    assert Reading.objects.count() == 1
    assert not Configuration.objects.exists()


def test_a_forged_hash_is_refused_with_its_telegram(stage: Stage) -> None:
    device, other = stage.device(), stage.device()
    stage.run(device.telegram((IDENTITY, 77), sealer=other.sealer))
    assert not Configuration.objects.exists()
