"""A wanted configuration goes out once, again when it must, and never twice at a time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from meterwire import config_records
from meterwire.config_records import MeterIdentity
from meterwire.messages import DownlinkCommand, Event, Receipt, Result, parse_timestamp, timestamp
from portal.bridge.configuration import Configurations
from portal.bridge.mail import Mail
from provisioning.accounts.actors import System
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.pairing.models import Configuration
from provisioning.pairing.services import set_reporting
from tests.portal.bridge.peer import new_id
from tests.portal.installed import Installed, number
from tests.portal.stage import NOON, Stage

pytestmark = pytest.mark.django_db


@dataclass
class Sender:
    """A bridge's configurations, by the clock of the installation."""

    installed: Installed

    def __post_init__(self) -> None:
        self.restart()
        Configuration.objects.update(changed_at=datetime.fromtimestamp(NOON, UTC))

    def restart(self) -> None:
        self.configurations = Configurations(lambda: NOON + self.installed.second, lambda: self.installed.second)

    def due(self) -> list[DownlinkCommand]:
        return [part for _, parts in self.configurations.due() for part in parts]

    def later(self, seconds: float) -> list[DownlinkCommand]:
        self.installed.later(seconds)
        return self.due()

    def receipt(self, *parts: DownlinkCommand, code: str | None = None, eui: str = "") -> None:
        results = tuple(Result(part.id, code) for part in parts)
        eui = eui or self.installed.stage.concentrator.eui
        self.configurations.receipt(eui, Receipt(new_id(), timestamp(NOON), results))

    def ended(self, *parts: DownlinkCommand, reason: str = "acknowledged") -> None:
        for part in parts:
            detail: dict[str, Any] = {"command": part.id, "attempts": 1}
            event = Event(
                new_id(), timestamp(self.installed.later()), "downlink", dev_eui=part.dev_eui, reason=reason,
                detail=detail,
            )  # fmt: skip
            self.installed._take(Mail(self.installed.stage.concentrator.eui, event=event))


@pytest.fixture
def sender(stage: Stage) -> Sender:
    installed = Installed(stage)
    installed.advance(installed.join())
    return Sender(installed)


def test_it_is_sent_once_with_the_registered_identity_and_an_end(sender: Sender) -> None:
    [part] = sender.due()
    read = config_records.decode(part.payload)
    assert (part.fport, part.confirmed, read.version) == (33, True, 1)
    assert read.records == (MeterIdentity(0, number(1).server_id()),)
    assert parse_timestamp(part.expires_at) - parse_timestamp(part.time) == timedelta(minutes=15)
    sender.receipt(part)
    assert sender.later(1) == []
    assert sender.later(600) == []


def test_without_a_receipt_the_same_message_goes_out_again(sender: Sender) -> None:
    [part] = sender.due()
    assert sender.later(29) == []
    assert sender.later(2) == [part]


def test_a_restarted_bridge_goes_on_with_the_same_message(sender: Sender) -> None:
    [part] = sender.due()
    sender.receipt(part)
    sender.restart()
    assert sender.later(5) == [part]


def test_two_bridges_send_the_same_message(sender: Sender) -> None:
    second = Sender(sender.installed)
    assert sender.due() == second.due()


def test_what_runs_is_not_sent(sender: Sender) -> None:
    assert len(sender.due()) == 1
    sender.installed.report()
    assert sender.later(3600) == []


def test_an_adapter_that_was_reset_on_its_way_gets_it_again_at_once(sender: Sender) -> None:
    [part] = sender.due()
    sender.receipt(part)
    sender.ended(part)
    assert sender.due() == []
    sender.installed.join()
    sender.installed.report(version=0)
    [again] = sender.due()
    assert (again.payload, again.id != part.id) == (part.payload, True)


def test_a_report_that_crossed_the_downlink_causes_no_second_one(sender: Sender) -> None:
    [part] = sender.due()
    sender.receipt(part)
    sender.installed.report(version=0)
    assert sender.later(5) == []
    sender.ended(part)
    assert sender.later(5) == []
    [_] = sender.later(60)


def test_after_the_end_without_a_report_it_is_sent_again_and_more_and_more_seldom(sender: Sender) -> None:
    times = []
    for second in range(0, 6 * 3600, 30):
        parts = sender.later(30)
        if parts:
            times.append(second)
        sender.receipt(*parts)
        sender.ended(*parts, reason="refused")
    waits = [after - before for before, after in pairwise(times)]
    assert 60 <= waits[0] <= 120
    assert waits == sorted(waits)
    assert len(times) < 20


def test_one_that_expires_unheard_is_sent_again_after_its_end_only(sender: Sender) -> None:
    [part] = sender.due()
    sender.receipt(part)
    assert sender.later(14 * 60) == []
    [again] = sender.later(2 * 60)
    assert again.id != part.id


def test_a_concentrator_that_does_not_know_the_adapter_yet_is_asked_again(sender: Sender) -> None:
    [part] = sender.due()
    sender.receipt(part, code="unknown_device")
    assert sender.later(30) == []
    [again] = sender.later(60)
    assert again.id != part.id


def test_another_concentrators_receipt_counts_for_nothing(sender: Sender) -> None:
    [part] = sender.due()
    sender.receipt(part, code="unknown_device", eui="70b3d57ee00cffff")
    assert sender.later(31) == [part]


def test_a_new_version_takes_the_place_of_the_one_under_way(sender: Sender) -> None:
    [part] = sender.due()
    sender.receipt(part)
    set_reporting(System("operator"), sender.installed.device.row, period_s=600)
    [newer] = sender.later(1)
    assert config_records.decode(newer.payload).version == 2


def test_a_version_that_the_adapter_refused_is_not_sent_all_day(sender: Sender) -> None:
    [part] = sender.due()
    sender.receipt(part)
    sender.ended(part)
    sender.installed.report(config_records.ConfigurationRefused(1, 3, "unknown record"), version=0)
    assert sender.later(3600) == []
    sender.installed.report(config_records.FirmwareReport("2.0"), version=0)
    assert sender.due() != []


def test_a_long_configuration_goes_in_parts_that_fit_the_slowest_data_rate(sender: Sender) -> None:
    registers = {input_: range(1, 9) for input_ in range(8)}
    set_reporting(System("operator"), sender.installed.device.row, period_s=900, registers=registers)
    parts = sender.due()
    assert len(parts) > 1
    assert max(len(part.payload) for part in parts) <= 51
    assembly = config_records.Assembly()
    whole = [assembly.add(config_records.decode(part.payload)) for part in parts][-1]
    assert whole is not None
    assert len(whole) == 12  # with its slot and open time


def test_who_cannot_be_reached_waits_without_work(sender: Sender, django_assert_num_queries: Any) -> None:
    concentrator = Concentrator.objects.filter(pk=sender.installed.stage.concentrator.pk)
    concentrator.update(online=False)
    with django_assert_num_queries(2):
        assert sender.due() == []
    concentrator.update(online=True)
    Adapter.objects.update(concentrator=None)
    with django_assert_num_queries(2):
        assert sender.due() == []


def test_an_adapter_that_never_joined_waits(stage: Stage) -> None:
    assert Sender(Installed(stage)).due() == []


def test_those_who_never_answer_starve_nobody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.bridge.configuration.AT_ONCE", 2)
    silent = [Installed(stage, meter_id=number(n)) for n in range(1, 6)]
    for one in silent:
        one.advance(one.join())
    sender = Sender(silent[0])
    first = [part for _ in range(3) for part in sender.due()]
    assert {part.dev_eui for part in first} == {one.device.row.dev_eui for one in silent}
    silent[0].later(31)
    again = [part for _ in range(4) for part in sender.due()]
    assert {part.id for part in again} == {part.id for part in first}


def test_one_that_moved_to_another_concentrator_gets_it_there(sender: Sender) -> None:
    [part] = sender.due()
    sender.receipt(part)
    other = Concentrator.objects.create(
        organisation=sender.installed.stage.organisation, eui="70b3d57ee00cffff", name="Attic", online=True
    )
    Adapter.objects.update(concentrator=other)
    sender.installed.later(1)
    assert sender.configurations.due() == [(other.eui, [part])]


def test_what_did_not_reach_the_broker_goes_out_again_at_once(sender: Sender) -> None:
    parts = sender.due()
    sender.configurations.forget(parts)
    assert sender.later(1) == parts
