"""The bridge renews configurations after a plan or a firmware has changed, and gives slots to those who lack one."""

from collections.abc import Callable
from typing import Any

import pytest

from meterwire.config_records import (
    BeaconRecord,
    ConfigurationRefused,
    FirmwareReport,
    OpenTimeRecord,
    SlotRecord,
)
from portal.bridge import renewals
from portal.bridge.commands import plan_entry
from portal.bridge.renewals import Renewals
from portal.telemetry.models import AdapterStatus
from provisioning.accounts.actors import System
from provisioning.audit.models import Entry
from provisioning.pairing.models import Configuration, Pairing
from provisioning.pairing.services import desired_configuration, refresh_configuration, renewal, set_reporting, unpair
from provisioning.slots.models import Assignment, SlotPlan
from provisioning.slots.services import release, set_plan
from tests.portal.installed import Installed, number
from tests.portal.stage import Stage

OPERATOR = System("operator")
USUAL: dict[str, Any] = {"quantum_ms": 2, "guard_ms": 60, "reserve": 25, "previous": False}


class Bridge:
    """A bridge's turns; its clock stands still between them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.renewals = Renewals(lambda: self.now)

    def turn(self, *adapters: int, seconds: float = 31.0) -> None:
        self.now += seconds
        self.renewals.advance(adapters)


@pytest.fixture
def bridge() -> Bridge:
    return Bridge()


@pytest.fixture
def installed(db: None) -> Installed:
    return Installed(Stage())


def types(installed: Installed) -> list[int]:
    return [record.type for record in desired_configuration(installed.device.row)]


def slot_of(installed: Installed) -> Assignment | None:
    return Assignment.objects.filter(adapter=installed.device.row, concentrator__isnull=False).first()


def test_who_is_paired_and_has_no_slot_gets_one_with_its_configuration(installed: Installed, bridge: Bridge) -> None:
    assert slot_of(installed) is None
    bridge.turn()
    row = slot_of(installed)
    assert row is not None
    assert (row.period_s, row.data_rate) == (900, 0)
    assert [SlotRecord.type, OpenTimeRecord.type] == types(installed)[-2:]
    assert installed.configuration.version == 2
    assert "100d0001" in installed.configuration.records


def test_whose_pairing_ends_while_others_are_waited_for_gets_none(
    installed: Installed, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Installed(installed.stage, meter_id=number(2))

    def rates(adapters: Any) -> dict[int, int]:
        """What comes between looking and giving."""
        unpair(OPERATOR, Pairing.objects.get(adapter=other.device.row), reason="moved out", release=False)
        return dict.fromkeys((adapter.pk for adapter in adapters), 4)

    monkeypatch.setattr(renewals, "rates_of", rates)
    bridge.turn()
    assert slot_of(installed) is not None
    assert slot_of(other) is None


def test_what_nobody_foresaw_at_one_concentrator_keeps_the_others_from_nothing(
    installed: Installed, bridge: Bridge, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = Installed(installed.stage, meter_id=number(2))
    set_reporting(OPERATOR, other.device.row, period_s=300)
    release(OPERATOR, other.device.row)
    give = renewal.give_slots

    def fragile(actor: Any, adapters: Any, period_s: int, rate: Any) -> int:
        if period_s == 900:
            raise ZeroDivisionError
        return give(actor, adapters, period_s, rate)

    monkeypatch.setattr(renewal, "give_slots", fragile)
    bridge.turn()
    assert slot_of(installed) is None
    assert slot_of(other) is not None
    assert "slots could not be given" in caplog.text


def test_its_first_data_rate_is_the_one_at_which_it_is_heard_already(installed: Installed, bridge: Bridge) -> None:
    concentrator = installed.stage.concentrator
    AdapterStatus.objects.create(
        adapter=installed.device.row, organisation=installed.stage.organisation, concentrator=concentrator, dr=4
    )
    bridge.turn()
    row = slot_of(installed)
    assert row is not None
    assert row.data_rate == 4


def test_nobody_gets_a_slot_where_the_plan_says_so_or_the_period_is_none_of_slots(
    installed: Installed, bridge: Bridge
) -> None:
    set_plan(OPERATOR, installed.stage.concentrator, **USUAL, by_pairing=False)
    bridge.turn()
    assert slot_of(installed) is None
    set_plan(OPERATOR, installed.stage.concentrator, **USUAL, by_pairing=True)
    set_reporting(OPERATOR, installed.device.row, period_s=600)
    bridge.turn()
    assert slot_of(installed) is None
    set_reporting(OPERATOR, installed.device.row, period_s=300)
    row = slot_of(installed)
    assert row is not None
    assert row.period_s == 300


def test_all_that_lack_one_get_one_turn_by_turn(
    installed: Installed, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewals, "AT_ONCE", 2)
    others = [Installed(installed.stage, meter_id=number(n)) for n in range(2, 6)]
    bridge.turn()
    bridge.turn(seconds=0.5)
    bridge.turn(seconds=0.5)
    assert all(slot_of(one) is not None for one in [installed, *others])
    assert Assignment.objects.filter(overlap_ms=0).count() == 5


def test_a_beacon_is_told_to_adapters_and_concentrator(
    installed: Installed, bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge.turn()
    other = Installed(installed.stage, meter_id=number(2))
    bridge.turn()
    before = {one.device.row.pk: one.configuration.version for one in (installed, other)}
    place = slot_of(installed)
    monkeypatch.setattr(renewals, "AT_ONCE", 1)
    set_plan(OPERATOR, installed.stage.concentrator, **USUAL, beacon_period_s=300, beacon_data_rate=2)
    assert Configuration.objects.filter(stale=True).count() == 2
    bridge.turn()
    assert Configuration.objects.filter(stale=True).count() == 1
    bridge.turn(seconds=0.5)

    assert not Configuration.objects.filter(stale=True).exists()
    for one in (installed, other):
        assert BeaconRecord.type in types(one)
        assert one.configuration.version == before[one.device.row.pk] + 1
    [beacon] = [one for one in desired_configuration(installed.device.row) if isinstance(one, BeaconRecord)]
    entry = plan_entry(installed.stage.concentrator)
    assert entry is not None
    assert entry.beacon is not None
    assert entry.open_time is not None
    told = (entry.beacon.frequency_hz, entry.beacon.data_rate, entry.beacon.period_s, entry.beacon.phase_ms)
    assert told == (beacon.frequency_hz, beacon.data_rate, beacon.period_s, beacon.phase_ms) == (869_525_000, 2, 300, 0)
    now = slot_of(installed)
    assert place is not None
    assert now is not None
    assert (now.phase_ms, now.channel, now.version) == (place.phase_ms, place.channel, place.version)


def test_the_first_slot_in_the_open_minute_tells_the_concentrator_and_all_adapters_what_is_left(
    installed: Installed, bridge: Bridge
) -> None:
    bridge.turn()
    assert open_ms(installed) == 60_000
    other = Installed(installed.stage, meter_id=number(2))
    set_reporting(OPERATOR, other.device.row, period_s=60)
    bridge.turn()
    assert slot_of(other) is not None
    bridge.turn()
    assert [open_ms(installed), open_ms(other)] == [7_500, 7_500]
    entry = plan_entry(installed.stage.concentrator)
    assert entry is not None
    assert entry.open_time is not None
    assert entry.open_time.length_ms == 7_500


def open_ms(installed: Installed) -> int:
    [record] = [one for one in desired_configuration(installed.device.row) if isinstance(one, OpenTimeRecord)]
    return record.length_ms


def test_one_that_cannot_be_put_together_keeps_no_other_from_its_own(installed: Installed, bridge: Bridge) -> None:
    bridge.turn()
    other = Installed(installed.stage, meter_id=number(2))
    bridge.turn()
    Configuration.objects.filter(adapter=installed.device.row).update(registers="{not json")
    set_plan(OPERATOR, installed.stage.concentrator, **USUAL, beacon_period_s=300)
    bridge.turn()
    assert BeaconRecord.type in types(other)
    assert other.configuration.version == 3
    assert not Configuration.objects.filter(stale=True).exists()


def test_a_plan_without_reserve_has_no_open_time(installed: Installed, bridge: Bridge) -> None:
    bridge.turn()
    set_plan(OPERATOR, installed.stage.concentrator, **{**USUAL, "reserve": 0})
    bridge.turn()
    assert types(installed)[-1] == SlotRecord.type
    entry = plan_entry(installed.stage.concentrator)
    assert entry is not None
    assert entry.open_time is None


def test_a_concentrator_without_plan_keeps_its_own_settings(installed: Installed) -> None:
    assert not SlotPlan.objects.exists()
    assert plan_entry(installed.stage.concentrator) is None


@pytest.fixture
def refuse(installed: Installed, bridge: Bridge) -> Callable[..., None]:
    """The adapter refuses what it is sent because of one record."""

    def refused(record: int, firmware: str = "1.0") -> None:
        version = installed.configuration.version
        said = ConfigurationRefused(version, record, "unknown record")
        installed.report(said, FirmwareReport(firmware), version=version - 1)
        bridge.turn(installed.device.row.pk)

    return refused


def test_an_old_firmware_gives_its_slot_back_and_the_audit_tells_it_once(
    installed: Installed, bridge: Bridge, refuse: Callable[..., None]
) -> None:
    bridge.turn()
    refuse(SlotRecord.type)
    assert slot_of(installed) is None
    assert not {SlotRecord.type, OpenTimeRecord.type} & set(types(installed))
    version = installed.configuration.version
    bridge.turn(installed.device.row.pk)
    bridge.turn()
    assert slot_of(installed) is None
    assert installed.configuration.version == version
    told = Entry.objects.filter(action="configuration.record_left_out")
    assert [entry.data for entry in told] == [{"record": "0x10", "firmware": "1.0"}]


def test_a_firmware_that_does_not_know_open_time_keeps_its_slot(
    installed: Installed, bridge: Bridge, refuse: Callable[..., None]
) -> None:
    bridge.turn()
    place = slot_of(installed)
    refuse(OpenTimeRecord.type)
    assert types(installed)[-1] == SlotRecord.type
    now = slot_of(installed)
    assert place is not None
    assert now is not None
    assert (now.phase_ms, now.version) == (place.phase_ms, place.version)


def test_another_firmware_is_tried_again(installed: Installed, bridge: Bridge, refuse: Callable[..., None]) -> None:
    bridge.turn()
    refuse(SlotRecord.type)
    installed.report(FirmwareReport("2.0"))
    bridge.turn(installed.device.row.pk)
    assert slot_of(installed) is not None
    assert {SlotRecord.type, OpenTimeRecord.type} <= set(types(installed))
    assert Entry.objects.filter(action="configuration.tried_again").count() == 1


@pytest.mark.parametrize("detail", [{"record": 0x01}, {"record": 0}])
def test_another_refused_record_is_not_left_out(
    installed: Installed, bridge: Bridge, refuse: Callable[..., None], detail: dict[str, Any]
) -> None:
    bridge.turn()
    wanted = types(installed)
    refuse(detail["record"])
    assert types(installed) == wanted


def test_a_refusal_of_an_earlier_version_changes_nothing(installed: Installed, bridge: Bridge) -> None:
    bridge.turn()
    refused = ConfigurationRefused(1, SlotRecord.type, "unknown record")
    installed.report(refused, version=0)
    bridge.turn(installed.device.row.pk)
    assert slot_of(installed) is not None


def test_a_turn_that_finds_nothing_asks_little(
    installed: Installed, bridge: Bridge, django_assert_max_num_queries: Any
) -> None:
    bridge.turn()
    refresh_configuration(installed.device.row)
    with django_assert_max_num_queries(2):
        bridge.turn()
    with django_assert_max_num_queries(0):
        bridge.turn(seconds=1.0)
