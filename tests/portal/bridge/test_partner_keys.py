"""Campaigns whose keys the adapters agree with their concentrator: ordered there, and finished by what it reports."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from meterwire.ids import DevEUI
from meterwire.key_messages import HeldKey, KeyReport, Place, mac_keys
from meterwire.messages import Event, Receipt, RekeyCommand, timestamp
from meterwire.messages import Result as MessageResult
from meterwire.seal import InnerKey, Key16, Value, ValuesSealer
from portal.bridge.ingest import Ingest
from portal.bridge.key_port import KeyPort
from portal.bridge.keys import Keys
from portal.bridge.mail import Mail
from portal.bridge.partner_keys import PartnerKeys
from portal.telemetry.models import AdapterEvent, Reading
from provisioning.accounts.actors import System
from provisioning.campaigns import services
from provisioning.campaigns.models import Campaign, Delivery, Sequence
from provisioning.fleet.models import Concentrator
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from tests.portal.bridge.peer import new_id
from tests.portal.stage import NOON, Device, Stage, telegram

pytestmark = pytest.mark.django_db
HERE = System("test")
SHARED = Key16(b"C" * 16)
DAY = 86_400.0


@dataclass
class Round:
    """A portal, one adapter whose concentrator shares a transport key with it, and a clock that both read."""

    stage: Stage
    traveller: time_machine.Traveller
    device: Device = field(init=False)
    second: float = 0.0

    def __post_init__(self) -> None:
        Concentrator.objects.update(online=True)
        self.device = self.stage.device(keyed=False)
        adapter = self.device.row
        self.stage.hold(adapter, InnerKey(b"i" * 16), slot=1)
        for partner, key in (("portal", b"P" * 16), (self.eui, SHARED.reveal())):
            self.stage.hold(adapter, InnerKey(key), slot=None, purpose=Purpose.TRANSPORT, partner=partner)
        self.port = KeyPort([Keys(self.stage.vault), PartnerKeys()])
        self.ingest = Ingest(self.stage.pipeline_for())
        self.campaign: Campaign = services.plan(
            HERE, self.stage.organisation, scope=adapter, method="exchange", partner="concentrator", curve="p-256",
            validity_days=30,
        )  # fmt: skip

    @property
    def eui(self) -> str:
        return self.stage.concentrator.eui

    def orders(self, later: float = 1.0) -> list[RekeyCommand]:
        self.second += later
        self.traveller.shift(later)
        sent = self.port.turn(NOON + self.second)
        assert all(eui == self.eui for eui, _ in sent)
        return [order for _, order in sent if isinstance(order, RekeyCommand)]

    def receipt(self, order: RekeyCommand, code: str | None = None) -> None:
        self.port.receipt(self.eui, Receipt(new_id(), order.time, (MessageResult(order.id, code),)))

    def reports(self, reason: str, eui: str = "", **detail: Any) -> None:
        now = NOON + self.second
        event = Event(new_id(), timestamp(now), "rekeyed", self.device.row.dev_eui, reason, detail)
        self.ingest.run([Mail(eui or self.eui, event=event)], round(now * 1e6))

    def up(self, **sent: Any) -> None:
        message = telegram(self.device.row.dev_eui, **sent)
        self.ingest.run([Mail(self.eui, telegrams=(message,))], round((NOON + self.second) * 1e6))

    @property
    def delivery(self) -> Delivery:
        return Delivery.objects.select_related("key").get(campaign=self.campaign)

    @property
    def place(self) -> int:
        key = self.delivery.key
        assert key is not None
        assert key.slot is not None
        return Place(1, key.slot).octet


@pytest.fixture
def round_(stage: Stage) -> Iterator[Round]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield Round(stage, traveller)


def test_the_concentrator_gets_the_order_with_place_number_and_validity(round_: Round) -> None:
    [order] = round_.orders()
    end = datetime.fromtimestamp(NOON + 1 + 30 * DAY, UTC).replace(microsecond=0)
    assert (order.dev_eui, order.seq, order.place) == (round_.device.row.dev_eui, 1, round_.place)
    assert (order.curve, order.not_before, order.not_after) == ("p-256", None, int(end.timestamp()))


def test_the_outcome_makes_the_key_active_without_a_value_of_it(round_: Round) -> None:
    [order] = round_.orders()
    round_.receipt(order)
    round_.reports("ok", seq=1, place=round_.place, check="a1b2c3")
    round_.orders(10)
    assert round_.delivery.state == Delivery.State.ACTIVE
    key = DeviceKey.objects.get(partner=round_.eui, purpose=Purpose.INNER)
    assert (key.state, key.check_value, bytes(key.sealed)) == (KeyState.ACTIVE, "a1b2c3", b"")
    assert DeviceKey.objects.get(partner="portal", purpose=Purpose.INNER).state == KeyState.ACTIVE


def test_telegrams_under_that_key_are_stored_sealed(round_: Round) -> None:
    round_.orders()
    round_.reports("ok", seq=1, place=round_.place, check="a1b2c3")
    round_.orders(10)
    round_.ingest = Ingest(round_.stage.pipeline_for())
    key, slot = InnerKey(b"agreed elsewhere"), Place.of(round_.place).slot
    sealer = ValuesSealer(key, slot, DevEUI.parse(round_.device.row.dev_eui))
    round_.up(fport=16, payload=sealer.seal(7, [Value(1, 4711)]), counter=7)
    reading = Reading.objects.get()
    assert (reading.register, reading.value) == (1, None)


def test_an_order_that_was_taken_is_not_repeated_for_hours(round_: Round) -> None:
    [order] = round_.orders()
    round_.receipt(order)
    assert round_.orders(3600) == []
    assert round_.delivery.code == "ordered"
    assert len(round_.orders(12 * 3600)) == 1


def test_without_any_receipt_the_concentrator_is_too_old(round_: Round) -> None:
    assert sum(len(round_.orders(61)) for _ in range(10)) == 6
    assert (round_.delivery.state, round_.delivery.code) == (Delivery.State.FAILED, "concentrator_too_old")


def test_a_concentrator_that_says_that_it_does_not_know_the_command_is_too_old(round_: Round) -> None:
    [order] = round_.orders()
    round_.receipt(order, "unknown_command")
    round_.orders()
    assert (round_.delivery.state, round_.delivery.code) == (Delivery.State.FAILED, "concentrator_too_old")


def test_a_device_table_on_its_way_is_waited_for(round_: Round) -> None:
    [order] = round_.orders()
    round_.receipt(order, "no_transport_key")
    assert round_.orders() == []
    assert round_.delivery.state == Delivery.State.DELIVERING
    assert len(round_.orders(61)) == 1


@pytest.mark.parametrize("reason", ["slot_taken", "curve_unknown", "old_sequence"])
def test_a_refusal_by_the_adapter_fails_with_its_reason_and_revokes_the_place(round_: Round, reason: str) -> None:
    round_.orders()
    round_.reports(reason, seq=1, place=round_.place)
    round_.orders(10)
    assert (round_.delivery.state, round_.delivery.code) == (Delivery.State.FAILED, reason)
    assert DeviceKey.objects.get(partner=round_.eui, purpose=Purpose.INNER).state == KeyState.REVOKED


def test_after_a_timeout_the_same_order_may_be_given_again_and_a_late_outcome_counts(round_: Round) -> None:
    round_.orders()
    round_.reports("timeout", seq=1, place=round_.place)
    round_.orders(10)
    assert (round_.delivery.state, round_.delivery.code) == (Delivery.State.FAILED, "not_answered")
    services.retry(HERE, round_.delivery)
    Campaign.objects.update(state=Campaign.State.RUNNING)
    [order] = round_.orders(10)
    assert order.seq == 1
    assert round_.orders(10) == []
    round_.reports("ok", seq=1, place=round_.place, check="a1b2c3")
    round_.orders(10)
    assert round_.delivery.state == Delivery.State.ACTIVE


@pytest.mark.parametrize(
    "detail",
    [
        {}, {"seq": 2, "check": "a1b2c3"}, {"seq": 1, "place": 255, "check": "a1b2c3"}, {"check": "zz"},
        {"check": 7}, {"check": None}, {"check": "a1b2c3d4"}, {"seq": "1"},
    ],
)  # fmt: skip
def test_what_a_concentrator_says_beside_the_matter_changes_nothing(round_: Round, detail: dict[str, Any]) -> None:
    round_.orders()
    said = {"seq": 1, "place": round_.place} | detail if detail else {}
    round_.reports("ok", **said)
    round_.orders(10)
    assert round_.delivery.state == Delivery.State.DELIVERING


def test_another_concentrator_cannot_finish_it(round_: Round) -> None:
    other = Concentrator.objects.create(
        organisation=round_.stage.organisation, eui="00aa00aa00aa00aa", name="other", online=True
    )
    round_.orders()
    round_.reports("ok", other.eui, seq=1, place=round_.place, check="a1b2c3")
    round_.orders(10)
    assert round_.delivery.state == Delivery.State.DELIVERING


def test_the_number_of_the_proof_is_never_given_out(round_: Round) -> None:
    round_.orders()
    assert services.next_seq(round_.device.row, round_.eui) == 3


def test_what_adapters_say_to_their_concentrator_is_no_forgery_and_keeps_the_numbers_ahead(round_: Round) -> None:
    adapter = DevEUI.parse(round_.device.row.dev_eui)
    report = KeyReport(900, (HeldKey(Place(1, 0), b"abc"),)).encode(mac_keys(SHARED).up, adapter)
    round_.up(fport=34, payload=report)
    round_.orders()
    assert not AdapterEvent.objects.filter(kind="security").exists()
    assert Sequence.objects.get(partner=round_.eui).last >= 900


def test_an_adapter_that_was_moved_meanwhile_is_not_ordered_from_the_old_concentrator(round_: Round) -> None:
    round_.orders()
    other = Concentrator.objects.create(
        organisation=round_.stage.organisation, eui="00aa00aa00aa00aa", name="other", online=True
    )
    type(round_.device.row).objects.filter(pk=round_.device.row.pk).update(concentrator=other)
    assert round_.orders(61) == []
    assert round_.delivery.state == Delivery.State.FAILED
