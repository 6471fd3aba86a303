"""What the bridge makes of echoes, proposed data rates, neighbours and moved adapters."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import F

from meterwire.config_records import SlotReport, SlotState
from meterwire.messages import Event, timestamp
from portal.bridge import slots as bridge_slots
from portal.bridge.mail import Mail
from portal.bridge.slots import Slots
from provisioning.accounts.actors import System
from provisioning.fleet.models import Adapter, Concentrator
from provisioning.fleet.services import create_adapters, move_adapter
from provisioning.fleet.services.adapters import NewAdapter
from provisioning.pairing.models import Configuration
from provisioning.pairing.services.slot_upkeep import renew_slot
from provisioning.slots.models import Assignment, Neighbour, SlotPlan
from provisioning.slots.services import assign, assign_many, release, set_plan
from tests.portal.bridge.peer import new_id
from tests.portal.installed import Installed, number
from tests.portal.stage import Stage

OPERATOR = System("operator")


@pytest.fixture
def installed(db: None) -> Installed:
    made = Installed(Stage())
    assign(OPERATOR, made.device.row, period_s=900, data_rate=2)
    return made


@pytest.fixture
def happen(installed: Installed) -> Callable[..., None]:
    """An event of a concentrator, followed at once."""
    slots = Slots(lambda: 0.0)

    def event(concentrator: Concentrator, kind: Any, named: bool = True, **detail: Any) -> None:
        name = installed.device.row.dev_eui if named else None
        told = Event(new_id(), timestamp(installed.later()), kind, dev_eui=name, detail=detail)
        outcome = installed.ingest.run([Mail(concentrator.eui, event=told)], int(installed.later() * 1e6))
        slots.advance(outcome.adapters, outcome.events)

    return event


def slot_of(installed: Installed) -> Assignment:
    return Assignment.objects.get(adapter=installed.device.row)


def beside(installed: Installed) -> Concentrator:
    return Concentrator.objects.create(
        organisation=installed.stage.organisation, eui="00800000aa000099", name="Beside", key_approved_at=None
    )


def test_an_echo_is_kept_and_a_newer_one_is_skipped(installed: Installed) -> None:
    outcome = installed.report(SlotReport(7, SlotState.NO_TRUST, 900, 300))
    Slots(lambda: 0.0).advance(outcome.adapters, outcome.events)
    row = slot_of(installed)
    assert (row.echoed_version, row.echoed_state, row.rate_ppb, row.uncertainty_ms) == (7, 2, 900, 300)
    assert row.version == 8
    assert "100d0008" in Configuration.objects.get(adapter=installed.device.row).records


def test_a_proposal_for_the_present_slot_counts_and_an_older_one_does_not(
    installed: Installed, happen: Callable[..., None]
) -> None:
    serving = installed.stage.concentrator
    for version in (1, 9, 1):
        happen(serving, "rate_proposed", dr=5, margin=9.5, version=version)
    assert slot_of(installed).data_rate == 5
    happen(serving, "rate_proposed", dr=0, margin=1.0, version=1)
    happen(serving, "rate_proposed", dr="slow", version=2)
    assert (slot_of(installed).data_rate, slot_of(installed).version) == (5, 2)


def test_a_rate_given_blind_makes_way_at_the_first_proposal_though_that_tells_the_level_too(
    installed: Installed, happen: Callable[..., None]
) -> None:
    Assignment.objects.filter(adapter=installed.device.row).update(data_rate=0)
    happen(installed.stage.concentrator, "rate_proposed", dr=5, margin=9.5, version=1)
    assert (slot_of(installed).data_rate, slot_of(installed).level_dbm) == (5, -130)


def test_who_hears_an_address_elsewhere_becomes_a_neighbour(installed: Installed, happen: Callable[..., None]) -> None:
    other = beside(installed)
    happen(installed.stage.concentrator, "joined", dev_addr="26011bda")
    happen(other, "heard", named=False, dev_addr="26011bda", rssi=-111.0, count=3)
    happen(other, "heard", named=False, dev_addr="26011bdb", rssi=-111.0, count=3)
    found = Neighbour.objects.get()
    assert (found.adapter, found.concentrator, found.rssi) == (installed.device.row, other, -111.0)
    happen(installed.stage.concentrator, "heard", rssi=-80.0, count=1)
    assert Neighbour.objects.count() == 1


def test_who_joins_before_its_pairing_is_known_by_its_address_too(
    installed: Installed, happen: Callable[..., None]
) -> None:
    Assignment.objects.filter(adapter=installed.device.row).delete()
    happen(installed.stage.concentrator, "joined", dev_addr="26011bda")
    row = Assignment.objects.get(adapter=installed.device.row)
    assert (row.dev_addr, row.slot) == ("26011bda", None)
    renew_slot(OPERATOR, installed.device.row)
    happen(beside(installed), "heard", named=False, dev_addr="26011bda", rssi=-111.0, count=3)
    assert Neighbour.objects.get().adapter == installed.device.row


def test_an_adapter_that_was_moved_by_hand_gets_its_slot_at_the_other_concentrator(installed: Installed) -> None:
    other = beside(installed)
    move_adapter(OPERATOR, installed.device.row, site=installed.device.row.site, concentrator=other)
    Slots(lambda: 0.0).advance((), ())
    assert slot_of(installed).concentrator == other


def test_moved_adapters_whose_slots_cannot_be_renewed_hold_up_no_other_one(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, devices = beside(installed), [installed.device, Installed(installed.stage, meter_id=number(2)).device]
    for device in devices:
        assign(OPERATOR, device.row, period_s=900, data_rate=2)
        move_adapter(OPERATOR, device.row, site=device.row.site, concentrator=other)
    renew, broken = bridge_slots.renew_slot, devices[0].row

    def fragile(actor: System, adapter: Adapter) -> None:
        if adapter == broken:
            raise ZeroDivisionError
        renew(actor, adapter)

    monkeypatch.setattr(bridge_slots, "AT_ONCE", 1)
    monkeypatch.setattr(bridge_slots, "renew_slot", fragile)
    slots = Slots(itertools.count(0, 60).__next__)
    for _ in range(2):
        slots.advance((), ())
    assert Assignment.objects.get(adapter=devices[1].row).concentrator == other
    monkeypatch.setattr(bridge_slots, "renew_slot", renew)
    for _ in range(2):
        slots.advance((), ())
    assert slot_of(installed).concentrator == other


def test_a_report_that_nobody_foresaw_holds_up_no_other_one(
    installed: Installed, caplog: pytest.LogCaptureFixture
) -> None:
    other = beside(installed)
    Configuration.objects.filter(adapter=installed.device.row).update(reported={"slot": {"version": 3, "state": 99}})
    told = Event(new_id(), timestamp(installed.later()), "heard", installed.device.row.dev_eui, detail={"rssi": -90})
    outcome = installed.ingest.run([Mail(other.eui, event=told)], int(installed.later() * 1e6))
    Slots(lambda: 0.0).advance({installed.device.row.pk}, outcome.events)
    assert Neighbour.objects.get().concentrator == other
    assert "a slot could not be followed" in caplog.text


@pytest.fixture
def crowd(installed: Installed) -> list[Adapter]:
    """Adapters that fill the time of the concentrator, where whoever comes now lies over others."""
    serving, device = installed.stage.concentrator, installed.device.row
    set_plan(OPERATOR, serving, quantum_ms=2, guard_ms=2000, reserve=500, previous=False)
    release(OPERATOR, device)
    new = [NewAdapter(f"70b3d57ed9{number:06x}", device.join_eui) for number in range(40)]
    adapters = create_adapters(OPERATOR, serving.organisation, new, site=device.site, concentrator=serving)
    assign_many(OPERATOR, serving.organisation, adapters, period_s=60, size=16, data_rate=lambda _: 0)
    return adapters


def test_room_that_comes_back_goes_to_who_lies_over_others(installed: Installed, crowd: list[Adapter]) -> None:
    serving, device = installed.stage.concentrator, installed.device.row
    crowded = assign(OPERATOR, device, period_s=60, data_rate=0)
    assert crowded.overlap_ms
    Configuration.objects.filter(adapter=device).update(period_s=60)
    slots = Slots(itertools.count(0, 60).__next__)
    slots.advance((), ())
    assert slot_of(installed).version == crowded.version
    release(OPERATOR, crowd[4])
    slots.advance((), ())
    assert (slot_of(installed).overlap_ms, slot_of(installed).version) == (0, crowded.version + 1)
    assert SlotPlan.objects.get(pk=serving.pk).full_since is None


def test_those_that_no_turn_has_come_to_yet_are_tried_in_the_next_ones(
    installed: Installed, crowd: list[Adapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    crowded = [*crowd[-2:], installed.device.row]
    for adapter in crowded:
        assign(OPERATOR, adapter, period_s=60, data_rate=0)
    Assignment.objects.filter(adapter__in=crowded).update(overlap_ms=7)
    tried: list[Adapter] = []
    monkeypatch.setattr(bridge_slots, "AT_ONCE", 2)
    monkeypatch.setattr(bridge_slots, "renew_slot", lambda _, adapter: tried.append(adapter))
    slots = Slots(itertools.count(0, 60).__next__)
    for seen in (2, 3, 3):
        slots.advance((), ())
        assert len(tried) == seen
    assert set(tried) == set(crowded)
    SlotPlan.objects.update(edition=F("edition") + 1)
    slots.advance((), ())
    assert len(tried) == 5


def test_the_margin_of_a_proposal_says_how_loud_the_adapter_is(
    installed: Installed, happen: Callable[..., None]
) -> None:
    happen(installed.stage.concentrator, "rate_proposed", dr=5, margin=9.5, version=1)
    assert slot_of(installed).level_dbm == -125  # SF10 needs -15 dB over a noise of -119.5 dBm
    happen(installed.stage.concentrator, "rate_proposed", dr=5, margin="loud", version=1)
    assert slot_of(installed).level_dbm == -125
