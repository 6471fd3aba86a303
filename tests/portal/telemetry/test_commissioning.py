"""What an installer is told when a station is not reached, and who is heard without being paired."""

from datetime import timedelta
from typing import Any

import pytest

from meterwire.config_records import ConfigurationRefused
from meterwire.messages import Event, timestamp
from portal.bridge.mail import Mail
from portal.telemetry.commissioning import Waiting, first_reading, heard_levels, heard_unpaired, waiting_for
from portal.telemetry.models import AdapterEvent
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.pairing.models import Pairing
from tests.portal.bridge.peer import new_id
from tests.portal.installed import BEGAN, Installed, number
from tests.portal.stage import GATEWAY, Stage

pytestmark = pytest.mark.django_db


@pytest.fixture
def installed(stage: Stage) -> Installed:
    return Installed(stage)


def tell(installed: Installed, kind: str, dev_eui: str = "", reason: str | None = None, **detail: Any) -> None:
    """An event of the serving concentrator."""
    seen = {"gw": GATEWAY, "rssi": -97.0, "snr": 7.5, "count": 1, **detail}
    dev_eui = dev_eui or installed.device.row.dev_eui
    at = timestamp(installed.later())
    event = Event(new_id(), at, kind, dev_eui=dev_eui, reason=reason, detail=seen)  # type: ignore[arg-type]
    installed._take(Mail(installed.stage.concentrator.eui, event=event))


def waiting(installed: Installed) -> Waiting:
    installed.pairing = Pairing.objects.select_related("adapter__concentrator", "meter").get(pk=installed.pairing.pk)
    found = waiting_for(installed.pairing, installed.now)
    assert found is not None
    return found


def informed(installed: Installed) -> Installed:
    installed.advance(installed.run(Concentrator.objects.get(pk=installed.stage.concentrator.pk).desired_revision))
    return installed


def joined(installed: Installed) -> Installed:
    informed(installed)
    installed.advance(installed.join())
    return installed


def test_a_concentrator_that_is_offline_is_named_with_its_time(installed: Installed) -> None:
    Concentrator.objects.update(online=False, last_state_at=BEGAN)
    found = waiting(installed)
    assert (found.step, found.code) == ("informed", "not_informed")
    assert "Cellar is offline since" in found.message


def test_a_key_that_nobody_approved_is_named(installed: Installed) -> None:
    Concentrator.objects.update(key_approved_at=None)
    assert waiting(installed).code == "key_not_approved"


def test_a_site_without_a_concentrator_is_named(installed: Installed) -> None:
    Adapter.objects.update(concentrator=None)
    assert waiting(installed).code == "no_concentrator"


def test_an_adapter_without_a_root_key_is_named(installed: Installed) -> None:
    installed.device.row.keys.filter(purpose="root").delete()
    assert waiting(installed).code == "no_key"


def test_not_heard_yet_says_for_how_long_and_what_to_do(installed: Installed) -> None:
    informed(installed)
    installed.later(185)
    found = waiting(installed)
    assert (found.step, found.code) == ("joined", "not_heard")
    assert found.message == (
        "Not heard yet: no join request at any concentrator for 3 min. Press the adapter's button, then move its"
        " antenna."
    )


def test_heard_weakly_says_where_and_how_strong(installed: Installed) -> None:
    informed(installed)
    tell(installed, "heard", rssi=-118.4)
    found = waiting(installed)
    assert (found.code, found.message) == (
        "heard_weak",
        "Heard by concentrator Cellar with -118 dBm: move the antenna.",
    )


def test_heard_well_says_that_it_joins_next(installed: Installed) -> None:
    informed(installed)
    tell(installed, "heard")
    assert waiting(installed).code == "heard"


def test_heard_by_another_concentrator_names_both(installed: Installed) -> None:
    informed(installed)
    tell(installed, "heard")
    attic = Concentrator.objects.create(
        organisation=installed.stage.organisation, eui="70b3d57ee00cffff", name="Attic", site=installed.stage.site
    )
    Adapter.objects.update(concentrator=attic)
    found = waiting(installed)
    assert found.code == "heard_not_served"
    assert "Cellar" in found.message
    assert "Attic" in found.message


@pytest.mark.parametrize(("reason", "code"), [("mic", "wrong_key"), ("nonce_used", "nonce_used")])
def test_refused_joins_say_why(installed: Installed, reason: str, code: str) -> None:
    informed(installed)
    tell(installed, "join_refused", reason=reason)
    assert waiting(installed).code == code
    installed.later(601)
    assert waiting(installed).code == "not_heard"


def test_a_configuration_that_does_not_run_is_named_with_its_reason(installed: Installed) -> None:
    joined(installed)
    assert waiting(installed).code == "configuring"
    installed.later(60)
    assert (waiting(installed).step, waiting(installed).code) == ("configured", "not_configured")
    installed.report(ConfigurationRefused(1, 3, "no input 5"), version=0)
    assert waiting(installed).code == "refused"
    assert "no input 5" in waiting(installed).message


def test_the_identity_is_waited_for_and_then_its_proof(installed: Installed) -> None:
    joined(installed)
    installed.advance(installed.report())
    assert waiting(installed).code == "identifying"
    installed.later(60)
    assert waiting(installed).code == "no_identity"
    installed.advance(installed.name(number(1).server_id()))
    assert waiting(installed).code == "identity_reported"


def test_a_mismatch_names_the_meter_and_the_other_pairing(installed: Installed) -> None:
    other = Installed(installed.stage, meter_id=number(2))
    joined(installed)
    installed.advance(installed.name(number(2).server_id()))
    found = waiting(installed)
    assert (found.step, found.code, found.other) == ("identity", "mismatch", other.pairing.pk)
    assert found.message == (
        "The meter read by this adapter is 1 EMH 00 0000 0002, not the one you scanned: swap them?"
    )


def test_a_mismatch_with_a_meter_that_nobody_paired_offers_no_swap(installed: Installed) -> None:
    installed.advance(installed.name(number(7).server_id()))
    found = waiting(installed)
    assert (found.code, found.other) == ("mismatch", None)
    assert "swap" not in found.message


def test_the_same_meter_at_two_adapters_is_named(installed: Installed) -> None:
    other = Installed(installed.stage, meter_id=number(2))
    other.advance(other.name(number(1).server_id()))
    joined(installed)
    installed.report()
    installed.advance(installed.prove(number(1).server_id()))
    found = waiting(installed)
    assert found.code == "identity_twice"
    assert other.device.row.dev_eui in found.message


def test_an_unreadable_meter_asks_for_the_display_once_there_is_a_reading(installed: Installed) -> None:
    joined(installed)
    installed.advance(installed.name(b""))
    assert waiting(installed).step == "reading"
    installed.advance(installed.read())
    found = waiting(installed)
    assert (found.step, found.code) == ("identity", "unreadable")
    assert "display" in found.message


def test_no_reading_is_named_last(installed: Installed) -> None:
    joined(installed)
    installed.advance(installed.name(b""))
    assert waiting(installed).code == "reading"
    installed.later(60)
    assert waiting(installed).code == "no_reading"


def test_nothing_is_waited_for_when_all_is_done_or_over(installed: Installed) -> None:
    joined(installed)
    installed.report()
    installed.advance(installed.prove(number(1).server_id()))
    assert waiting_for(installed.pairing, installed.now) is None
    reading = first_reading(installed.pairing)
    assert reading is not None
    assert (reading["value"], reading["unit"]) == ("12345.678", "kWh")
    Pairing.objects.update(state="ended", to_at=installed.now)
    installed.pairing.refresh_from_db()
    assert waiting_for(installed.pairing, installed.now) is None


# Heard, not paired.


def hear(installed: Installed, dev_eui: str, **detail: Any) -> None:
    tell(installed, "heard", dev_eui, join_eui="70b3d57ed0000000", **detail)


def test_strangers_are_listed_with_their_latest_radio_figures(installed: Installed) -> None:
    hear(installed, "70b3d57ed1aaaaaa", rssi=-120.0, count=1)
    hear(installed, "70b3d57ed1aaaaaa", rssi=-101.0, count=7, dr=2)
    [one] = heard_unpaired(installed.stage.organisation, now=installed.now)
    assert (one.dev_eui, one.adapter, one.rssi, one.count, one.dr) == ("70b3d57ed1aaaaaa", None, -101.0, 7, 2)
    assert one.first < one.last
    assert one.concentrator == installed.stage.concentrator


def test_own_unserved_adapters_are_named_and_foreign_ones_look_unknown(installed: Installed) -> None:
    mine, theirs = installed.stage.device(keyed=False), Stage("globex").device(keyed=False)
    Adapter.objects.filter(pk=mine.row.pk).update(concentrator=None)
    hear(installed, mine.row.dev_eui)
    hear(installed, theirs.row.dev_eui)
    found = {one.dev_eui: one.adapter for one in heard_unpaired(installed.stage.organisation, now=installed.now)}
    assert found == {mine.row.dev_eui: mine.row, theirs.row.dev_eui: None}
    assert heard_unpaired(theirs.row.organisation, now=installed.now) == []


def test_who_is_served_is_not_listed_unless_it_is_heard_elsewhere_only(installed: Installed) -> None:
    hear(installed, installed.device.row.dev_eui)
    assert heard_unpaired(installed.stage.organisation, now=installed.now) == []
    attic = Concentrator.objects.create(organisation=installed.stage.organisation, eui="70b3d57ee00cffff", name="Attic")
    Adapter.objects.update(concentrator=attic)
    assert len(heard_unpaired(installed.stage.organisation, now=installed.now)) == 1
    installed.read()
    assert heard_unpaired(installed.stage.organisation, now=installed.now) == []


def test_a_member_limited_to_sites_hears_what_is_heard_there(installed: Installed) -> None:
    hear(installed, "70b3d57ed1aaaaaa")
    here = frozenset({installed.stage.site.pk})
    assert len(heard_unpaired(installed.stage.organisation, here, now=installed.now)) == 1
    assert heard_unpaired(installed.stage.organisation, frozenset({0}), now=installed.now) == []


def test_who_was_heard_yesterday_is_forgotten(installed: Installed) -> None:
    hear(installed, "70b3d57ed1aaaaaa")
    assert heard_unpaired(installed.stage.organisation, now=installed.now + timedelta(hours=25)) == []


def test_a_crowd_of_strangers_is_listed_in_few_questions(
    installed: Installed, django_assert_max_num_queries: Any
) -> None:
    AdapterEvent.objects.bulk_create(
        AdapterEvent(
            id=new_id(), organisation=installed.stage.organisation, concentrator=installed.stage.concentrator,
            dev_eui=f"70b3d57ed1{n:06x}", kind="heard", detail={"rssi": -100.0, "count": 1},
            at=BEGAN + timedelta(seconds=n),
        )
        for n in range(700)
    )  # fmt: skip
    with django_assert_max_num_queries(5):
        assert len(heard_unpaired(installed.stage.organisation, now=BEGAN + timedelta(hours=1))) == 500


def test_the_best_level_of_each_concentrator_helps_to_choose(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.telemetry.commissioning.timezone.now", lambda: installed.now)
    hear(installed, installed.device.row.dev_eui, rssi=-110.0)
    hear(installed, installed.device.row.dev_eui, rssi=-90.0)
    assert heard_levels(installed.device.row, [installed.stage.concentrator]) == {
        installed.stage.concentrator.pk: -90.0
    }
