"""Whose meter is read: by a report that warns early, by a sealed hash that proves, or by nobody."""

from datetime import timedelta

import pytest

from meterwire.config_records import OwnIdentity
from meterwire.ids import DevEUI
from portal.telemetry.models import AdapterEvent, Reading
from provisioning.accounts.actors import System
from provisioning.fleet.models import Meter
from provisioning.pairing.models import Pairing
from provisioning.pairing.services import confirm, resolve_mismatch
from tests.portal.installed import Installed, number
from tests.portal.stage import Stage

pytestmark = pytest.mark.django_db
OPERATOR = System("operator")
UTILITY = bytes.fromhex("03") + bytes(range(8))  # a server id that stands on no label


@pytest.fixture
def installed(stage: Stage) -> Installed:
    return Installed(stage)


def alarms() -> list[tuple[str, str]]:
    return list(AdapterEvent.objects.filter(kind__in=["identity", "security"]).values_list("kind", "reason"))


def test_a_right_report_alone_is_no_match(installed: Installed) -> None:
    installed.advance(installed.name(number(1).server_id()))
    assert (installed.pairing.identity, installed.pairing.state) == ("unknown", "pending")
    assert "identity" not in installed.reached()


@pytest.mark.parametrize(
    "octets",
    [
        number(1).server_id(),
        b"\x09" + number(1).server_id()[1:],
        number(1).lmn_server_id(),
        str(number(1)).encode(),
    ],
)
def test_each_form_of_the_number_matches_by_its_sealed_hash(installed: Installed, octets: bytes) -> None:
    installed.advance(installed.prove(octets))
    assert (installed.pairing.identity, installed.pairing.state) == ("match", "confirmed")
    assert installed.pairing.identity_read == octets.hex()


def test_a_learnt_server_id_matches(installed: Installed) -> None:
    Meter.objects.update(server_id=UTILITY.hex())
    installed.advance(installed.prove(UTILITY))
    assert installed.pairing.identity == "match"


def test_another_meters_report_is_a_mismatch_at_once(installed: Installed) -> None:
    installed.advance(installed.read())
    installed.advance(installed.name(number(2).server_id()))
    assert (installed.pairing.identity, installed.pairing.state) == ("mismatch", "pending")
    assert installed.detail("identity") == {"outcome": "mismatch", "display": "1 EMH 00 0000 0002"}
    assert alarms() == [("identity", "mismatch")]
    assert AdapterEvent.objects.get(kind="identity").detail["pairing"] == installed.pairing.pk


def test_readings_of_another_meter_belong_to_nobody_before_and_after_the_alarm(installed: Installed) -> None:
    installed.advance(installed.read())
    assert Reading.objects.get().metering_point == installed.point
    installed.advance(installed.prove(number(2).server_id()))
    assert installed.pairing.identity == "unknown"  # the name itself may still come
    installed.later(130)
    installed.advance()
    assert installed.pairing.identity == "mismatch"
    installed.read()
    assert list(Reading.objects.values_list("metering_point", flat=True)) == [None] * 3


def test_readings_that_another_bridge_stored_meanwhile_are_withdrawn_too(installed: Installed) -> None:
    installed.advance(installed.name(number(2).server_id()))
    installed.read()
    Reading.objects.update(metering_point=installed.point)
    installed.later(3)
    installed.advance()
    assert Reading.objects.get().metering_point is None


def test_the_sealed_hash_overrules_a_forged_report(installed: Installed) -> None:
    installed.advance(installed.name(number(2).server_id()))
    installed.advance(installed.prove(number(1).server_id()))
    assert (installed.pairing.identity, installed.pairing.state) == ("match", "confirmed")
    installed.read()
    assert Reading.objects.order_by("counter").last().metering_point == installed.point  # type: ignore[union-attr]


def test_a_forged_right_name_does_not_help_against_the_hash(installed: Installed) -> None:
    installed.name(number(1).server_id())
    installed.prove(number(2).server_id())
    installed.later(130)
    installed.advance()
    assert (installed.pairing.identity, installed.pairing.identity_read) == ("mismatch", "")


def test_a_meter_that_tells_nothing_is_compared_by_a_person(installed: Installed) -> None:
    installed.advance(installed.name(b""))
    assert installed.pairing.identity == "unreadable"
    installed.advance(installed.read())
    confirm(OPERATOR, installed.pairing)
    installed.pairing.refresh_from_db()
    assert (installed.pairing.identity, installed.pairing.state) == ("unreadable", "confirmed")
    assert alarms() == []


def test_a_name_that_stands_on_no_label_is_compared_by_a_person(installed: Installed) -> None:
    installed.name(UTILITY)
    installed.advance(installed.prove(UTILITY))
    assert (installed.pairing.identity, installed.pairing.identity_read) == ("unreadable", UTILITY.hex())
    assert installed.detail("identity")["display"] == UTILITY.hex().upper()
    assert alarms() == []


def test_the_name_that_a_person_confirmed_is_learnt_and_proven_from_then_on(installed: Installed) -> None:
    installed.name(UTILITY)
    installed.advance(installed.prove(UTILITY))
    version = installed.configuration.version
    confirm(OPERATOR, installed.pairing)
    assert Meter.objects.get().server_id == UTILITY.hex()
    assert installed.configuration.version == version + 1
    installed.name(UTILITY)
    installed.advance(installed.prove(UTILITY))
    assert (installed.pairing.identity, installed.pairing.state) == ("match", "confirmed")


def test_an_adapter_that_reports_no_identities_at_all_is_unreadable_after_a_while(installed: Installed) -> None:
    installed.advance(installed.read())
    assert installed.pairing.identity == "unknown"
    installed.later(301)
    installed.advance()
    assert installed.pairing.identity == "unreadable"


def test_a_meter_that_names_itself_late_is_a_match_after_all(installed: Installed) -> None:
    installed.advance(installed.name(b""))
    installed.name(number(1).server_id())
    installed.advance(installed.prove(number(1).server_id()))
    assert (installed.pairing.identity, installed.pairing.state) == ("match", "confirmed")


def test_what_was_said_before_the_pairing_does_not_count(installed: Installed) -> None:
    outcome = installed.prove(number(2).server_id())
    Pairing.objects.update(from_at=installed.now + timedelta(seconds=5))
    installed.later(200)
    installed.advance(outcome)
    assert installed.pairing.identity == "unknown"


def test_a_proof_of_another_adapter_or_input_fits_nowhere(stage: Stage) -> None:
    one, other = Installed(stage), Installed(stage, meter_id=number(2))
    one.input = 1
    one.prove(number(1).server_id())
    one.later(200)
    one.advance()
    assert (one.pairing.identity, other.pairing.identity) == ("unknown", "unknown")


def test_a_retry_waits_for_news_and_the_old_proof_is_not_judged_again(installed: Installed) -> None:
    installed.name(number(2).server_id())
    installed.advance(installed.prove(number(2).server_id()))
    resolve_mismatch(OPERATOR, installed.pairing, "retry")
    installed.later(200)
    installed.advance()
    assert installed.pairing.identity == "unknown"
    installed.name(number(1).server_id())
    installed.advance(installed.prove(number(1).server_id()))
    assert installed.pairing.identity == "match"


def test_a_confirmed_pairing_whose_adapter_was_moved_is_a_mismatch_from_then_on(installed: Installed) -> None:
    installed.advance(installed.prove(number(1).server_id()))
    installed.read()
    installed.later(3600)
    installed.name(number(2).server_id())
    installed.advance(installed.prove(number(2).server_id()))
    assert (installed.pairing.identity, installed.pairing.state) == ("mismatch", "pending")
    assert alarms() == [("identity", "mismatch")]


def test_the_daily_proof_of_a_confirmed_pairing_changes_nothing(installed: Installed) -> None:
    installed.advance(installed.prove(number(1).server_id()))
    before = Pairing.objects.values().get()
    installed.later(86_400)
    assert installed.advance(installed.prove(number(1).server_id())) == []
    assert Pairing.objects.values().get() == before


# The same meter read by two adapters.


def test_two_adapters_that_read_the_same_meter_are_a_security_event_and_no_match(stage: Stage) -> None:
    right, wrong = Installed(stage), Installed(stage, meter_id=number(2))
    wrong.advance(wrong.name(number(1).server_id()))
    right.advance(right.prove(number(1).server_id()))
    right.later(3)
    right.advance()
    assert (right.pairing.identity, wrong.pairing.identity) == ("unknown", "mismatch")
    assert alarms() == [("identity", "mismatch"), ("security", "identity_twice")]
    assert AdapterEvent.objects.get(kind="security").detail["other"] == wrong.device.row.dev_eui


def test_the_match_follows_when_the_other_adapter_has_moved_away(stage: Stage) -> None:
    right, wrong = Installed(stage), Installed(stage, meter_id=number(2))
    wrong.advance(wrong.name(number(1).server_id()))
    right.advance(right.prove(number(1).server_id()))
    resolve_mismatch(OPERATOR, wrong.pairing, "retry")
    right.later(3)
    right.advance()
    assert right.pairing.identity == "match"


def test_the_second_one_is_told_even_when_the_first_matched_long_ago(stage: Stage) -> None:
    right, wrong = Installed(stage), Installed(stage, meter_id=number(2))
    right.advance(right.prove(number(1).server_id()))
    wrong.advance(wrong.name(number(1).server_id()))
    assert ("security", "identity_twice") in alarms()


def test_the_same_number_in_another_organisation_is_nobodys_business(stage: Stage) -> None:
    here, there = Installed(stage), Installed(Stage("globex"))
    here.advance(here.prove(number(1).server_id()))
    there.advance(there.prove(number(1).server_id()))
    assert (here.pairing.identity, there.pairing.identity) == ("match", "match")
    assert alarms() == []


def test_an_adapter_that_gives_another_dev_eui_is_a_security_event(installed: Installed) -> None:
    installed.report(OwnIdentity(DevEUI.parse("70b3d57ed0ffffff")))
    assert alarms() == [("security", "other_dev_eui")]
