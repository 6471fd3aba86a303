"""A pairing's stations, from the installer's claim to the first reading."""

from datetime import timedelta

import pytest

from portal.bridge.steps import News, Steps
from portal.telemetry.models import Reading
from provisioning.fleet.desired import adapter_changed
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.pairing.models import Configuration, Pairing, PairingStep
from tests.portal.installed import BEGAN, Installed, number
from tests.portal.stage import NOON, Stage

pytestmark = pytest.mark.django_db


@pytest.fixture
def installed(stage: Stage) -> Installed:
    return Installed(stage)


def test_a_pairing_goes_from_station_to_station(installed: Installed) -> None:
    adapter_changed(installed.device.row)
    revision = Concentrator.objects.get().desired_revision
    assert installed.advance(installed.run(revision - 1)) == []
    assert installed.advance(installed.run(revision)) == [("pairing", installed.device.row.pk)]
    assert installed.detail("informed") == {"concentrator": installed.stage.concentrator.eui}

    installed.advance(installed.join(rssi=-101.0, dr=4))
    joined = installed.detail("joined")
    assert (joined["rssi"], joined["snr"], joined["dr"]) == (-101.0, 7.5, 4)

    installed.advance(installed.report(version=0))
    assert installed.reached() == ["informed", "joined"]
    installed.advance(installed.name(number(1).server_id()))
    assert installed.detail("configured") == {"version": 1, "firmware": "1.0"}
    assert installed.pairing.state == Pairing.State.PENDING  # the report alone proves nothing

    installed.advance(installed.prove(number(1).server_id()))
    assert installed.detail("identity") == {"outcome": "match", "display": "1 EMH 00 0000 0001"}
    reading = installed.detail("reading")
    assert (reading["obis"], reading["value"], reading["unit"]) == ("1-0:1.8.0", "12345.678", "kWh")
    assert (installed.pairing.state, installed.pairing.identity) == ("confirmed", "match")
    assert len(installed.reached()) == 5


def test_a_portal_that_was_restarted_finds_what_it_missed(installed: Installed) -> None:
    installed.run(Concentrator.objects.get().desired_revision)
    installed.join()
    installed.name(number(1).server_id())
    installed.prove(number(1).server_id())
    assert installed.reached() == []  # the bridge died after each commit, before it followed

    assert Steps(lambda: NOON + 60).advance(News()).messages()
    assert set(installed.reached()) == {"informed", "joined", "configured", "identity", "reading"}


def test_two_bridges_find_the_same_and_write_it_once(installed: Installed) -> None:
    outcome = installed.prove(number(1).server_id())
    other = Steps(lambda: NOON + 60)
    installed.advance(outcome)
    before = list(PairingStep.objects.order_by("pk").values())
    news = News()
    news.add(outcome)
    assert other.advance(news).messages() == []
    assert list(PairingStep.objects.order_by("pk").values()) == before


def test_an_adapter_that_had_a_session_already_did_join(installed: Installed) -> None:
    installed.advance(installed.read())
    assert {"informed", "joined", "reading"} <= set(installed.reached())
    assert installed.detail("joined")["rssi"] == -97.0


def test_the_second_input_of_a_running_adapter_waits_for_its_own_reading_only(installed: Installed) -> None:
    installed.advance(installed.prove(number(1).server_id()))
    second = Installed(installed.stage, installed.device, input=1, meter_id=number(2), second=installed.second)
    Pairing.objects.filter(pk=second.pairing.pk).update(from_at=second.now)
    second.stage.audit(second.pairing)
    second.advance(second.report(version=1))
    assert second.reached() == ["informed", "joined"]
    second.advance(second.report())
    second.advance(second.prove(number(2).server_id()))
    assert second.pairing.state == "confirmed"
    assert second.detail("reading")["value"] == "12345.678"


def test_first_readings_are_news_once(installed: Installed) -> None:
    assert installed.read().adapters == {installed.device.row.pk}
    assert installed.read().adapters == set()


def test_nothing_is_told_to_be_informed_without_a_key_to_join_with(installed: Installed) -> None:
    installed.device.row.keys.filter(purpose="root").delete()
    installed.advance(installed.run(Concentrator.objects.get().desired_revision))
    assert installed.reached() == []


def test_a_join_at_another_concentrator_is_none_at_the_serving_one(installed: Installed) -> None:
    other = Concentrator.objects.create(
        organisation=installed.stage.organisation, eui="70b3d57ee00cffff", name="Attic", site=installed.stage.site
    )
    outcome = installed.join()
    Adapter.objects.filter(pk=installed.device.row.pk).update(concentrator=other)
    installed.advance(outcome)
    assert installed.reached() == []


def test_a_join_before_the_pairing_does_not_count(installed: Installed) -> None:
    outcome = installed.join()
    Pairing.objects.update(from_at=BEGAN + timedelta(minutes=5))
    installed.advance(outcome)
    assert installed.reached() == []


def test_a_reading_that_stays_sealed_is_a_first_reading_without_a_value(stage: Stage) -> None:
    installed = Installed(stage, stage.device(keyed=False))
    installed.advance(installed.read())
    assert (installed.detail("reading")["value"], installed.detail("reading")["obis"]) == ("", "1-0:1.8.0")


def test_a_foreign_device_is_confirmed_by_a_person(stage: Stage) -> None:
    from tests.portal.stage import telegram

    installed = Installed(stage, stage.device(keyed=False, kind="foreign"))
    installed.advance(installed.send(telegram(installed.device.row.dev_eui, fport=2, epoch=1)))
    assert set(installed.reached()) == {"informed", "joined", "configured", "identity"}
    assert installed.pairing.identity == "unreadable"


def test_the_sweep_comes_round_to_every_waiting_pairing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.bridge.steps.NEWEST", 1)
    monkeypatch.setattr("portal.bridge.steps.SWEPT", 2)
    all_of_them = [Installed(stage, meter_id=number(n)) for n in range(1, 8)]
    for one in all_of_them:
        one.join()
    clock = [NOON + 60]
    steps = Steps(lambda: clock[0])
    for _ in range(5):
        clock[0] += 1
        steps.advance(News())
    assert PairingStep.objects.filter(step="joined").count() == 7


def test_a_look_without_news_and_without_waiting_pairings_costs_two_questions(
    installed: Installed, django_assert_num_queries: object
) -> None:
    Pairing.objects.update(state="confirmed")
    with django_assert_num_queries(2):  # type: ignore[operator]
        Steps(lambda: NOON + 60).advance(News())


def test_a_hundred_waiting_pairings_are_looked_at_in_a_few_questions(
    stage: Stage, django_assert_max_num_queries: object
) -> None:
    for n in range(1, 101):
        Installed(stage, meter_id=number(n))
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        Steps(lambda: NOON + 60).advance(News())


def test_the_hash_is_no_reading(installed: Installed) -> None:
    installed.prove(number(1).server_id())
    assert [row.register for row in Reading.objects.all()] == [1]
    assert Configuration.objects.get().reported["proofs"].keys() == {"0"}
