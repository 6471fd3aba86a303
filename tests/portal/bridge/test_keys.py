"""Keys go to adapters over port 34 and come into use; what is lost is repeated, what fails says why."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from meterwire.ids import DevEUI
from meterwire.key_messages import DeliveryAnswer, Place, Result, decode
from meterwire.messages import DownlinkCommand, Receipt, timestamp
from meterwire.messages import Result as MessageResult
from meterwire.seal import InnerKey, Key16, ValuesSealer
from portal.bridge.ingest import Ingest
from portal.bridge.key_port import KeyPort
from portal.bridge.keys import Keys, outgoing
from portal.bridge.mail import Mail
from portal.telemetry.models import AdapterEvent, Reading
from provisioning.accounts.actors import System
from provisioning.audit.models import Entry
from provisioning.campaigns import services
from provisioning.campaigns.models import Campaign, Delivery, Notice
from provisioning.fleet.models import Concentrator
from provisioning.keys.models import DeviceKey, KeyState, Purpose
from provisioning.keys.vault import Vault
from tests.portal.bridge.keyholder import Keyholder
from tests.portal.bridge.peer import new_id
from tests.portal.stage import NOON, Device, Stage, telegram

pytestmark = pytest.mark.django_db
HERE = System("test")
OLD = Place(1, 1)


@dataclass
class Round:
    """A portal, one adapter, and a clock that both read."""

    stage: Stage
    traveller: time_machine.Traveller
    device: Device = field(init=False)
    second: float = 0.0

    def __post_init__(self) -> None:
        Concentrator.objects.update(online=True)
        self.device = self.stage.device(keyed=False)
        first = InnerKey(bytes(range(16)))
        self.stage.hold(self.device.row, first, slot=1)
        self.device.sealer = ValuesSealer(first, 1, self.dev_eui)
        transport = Key16(bytes(range(16, 32)))
        self.stage.hold(self.device.row, InnerKey(transport.reveal()), slot=None, purpose=Purpose.TRANSPORT)
        self.adapter = Keyholder(self.dev_eui, transport, {OLD: first})
        self.restart()

    @property
    def dev_eui(self) -> DevEUI:
        return DevEUI.parse(self.device.row.dev_eui)

    def restart(self) -> None:
        """The bridge is another process now."""
        self.port = KeyPort([Keys(self.stage.vault)])
        self.ingest = Ingest(self.stage.pipeline_for())

    def plan(self, **terms: Any) -> Campaign:
        return services.plan(HERE, self.stage.organisation, scope=self.device.row, **terms)

    def due(self, later: float = 1.0) -> list[DownlinkCommand]:
        self.second += later
        self.traveller.shift(later)
        return [message for _, message in self.port.turn(NOON + self.second)]

    def up(self, payload: bytes) -> None:
        self._arrive(telegram(self.device.row.dev_eui, fport=34, payload=payload))

    def values(self, place: Place) -> None:
        """A telegram sealed with the key that the adapter holds there."""
        sealer = ValuesSealer(self.adapter.held[place], place.slot, self.dev_eui)
        self._arrive(self.device.telegram(sealer=sealer))

    def answers(self, later: float = 1.0) -> list[DownlinkCommand]:
        """Every message that is due reaches the adapter, and its answers the portal."""
        sent = self.due(later)
        for message in sent:
            self.up(self.adapter.hears(message.payload))
        return sent

    @property
    def delivery(self) -> Delivery:
        return Delivery.objects.select_related("key").latest("pk")

    def key(self, state: KeyState) -> DeviceKey:
        return DeviceKey.objects.get(adapter=self.device.row, purpose=Purpose.INNER, state=state)

    def _arrive(self, sent: Any) -> None:
        now_us = round((NOON + self.second) * 1e6)
        self.ingest.run([Mail(self.stage.concentrator.eui, telegrams=(sent,))], now_us)


@pytest.fixture
def round_(stage: Stage) -> Iterator[Round]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield Round(stage, traveller)


def test_a_delivered_key_comes_into_use_and_the_old_one_retires(round_: Round) -> None:
    round_.plan()
    [message] = round_.answers()
    assert (message.fport, message.confirmed, len(message.payload)) == (34, True, 47)
    assert round_.due() == []
    assert round_.delivery.state == Delivery.State.CONFIRMED

    round_.values(Place(1, 0))
    assert round_.delivery.state == Delivery.State.ACTIVE
    assert round_.key(KeyState.ACTIVE).slot == 0
    assert round_.key(KeyState.RETIRING).grace_until is not None
    assert Reading.objects.count() == 2


def test_the_adapter_gets_a_proof_that_its_new_key_was_heard(round_: Round) -> None:
    round_.plan()
    round_.answers()
    round_.values(Place(1, 0))
    round_.answers()
    round_.due()

    assert round_.adapter.proved == [Place(1, 0)]
    assert Notice.objects.get().state == Notice.State.DONE


def test_a_late_telegram_under_the_old_key_still_opens(round_: Round) -> None:
    round_.plan()
    round_.answers()
    round_.values(Place(1, 0))
    round_.values(OLD)
    assert Reading.objects.count() == 4


@pytest.mark.parametrize("curve", ["x25519", "p-256", "brainpoolP256r1"])
def test_an_agreed_key_was_never_sent(round_: Round, curve: str) -> None:
    round_.plan(method="exchange", curve=curve)
    [offer] = round_.answers()
    [confirm] = round_.answers()
    round_.due()
    assert [decode(message.payload, up=False).type for message in (offer, confirm)] == [0x02, 0x03]
    assert all(len(message.payload) <= 51 for message in (offer, confirm))
    assert bytes(round_.delivery.private) == b""

    place = next(iter(round_.adapter.held))
    round_.values(place)
    agreed = round_.key(KeyState.ACTIVE)
    assert round_.stage.vault.open_inner(agreed) == round_.adapter.held[place]
    assert round_.adapter.held[place].reveal() not in offer.payload + confirm.payload


def test_a_lost_message_is_repeated_bit_by_bit_and_given_up_in_the_end(round_: Round) -> None:
    round_.plan()
    first = round_.due()
    repeated = [round_.due(later=901) for _ in range(4)]
    assert [[message.payload for message in sent] for sent in repeated] == [[first[0].payload]] * 4
    assert len({message.id for sent in [first, *repeated] for message in sent}) == 5

    assert round_.due(later=901) == []
    assert (round_.delivery.state, round_.delivery.code) == (Delivery.State.FAILED, "not_answered")


def test_nothing_is_repeated_before_its_time(round_: Round) -> None:
    round_.plan()
    assert len(round_.due()) == 1
    assert round_.due(later=890) == []


@pytest.mark.parametrize("method", ["delivery", "exchange"])
def test_a_restarted_bridge_goes_on_where_it_was(round_: Round, method: str) -> None:
    round_.plan(method=method)
    for _ in range(3):
        sent = round_.due()
        round_.restart()
        for message in sent:
            round_.up(round_.adapter.hears(message.payload))
        round_.restart()
    round_.values(next(iter(round_.adapter.held)))
    assert round_.delivery.state == Delivery.State.ACTIVE


def test_an_answer_heard_twice_changes_nothing(round_: Round) -> None:
    round_.plan()
    [message] = round_.due()
    answer = round_.adapter.hears(message.payload)
    round_.up(answer)
    round_.up(answer)
    round_.due()
    assert round_.delivery.state == Delivery.State.CONFIRMED
    assert Entry.objects.filter(action="key.delivering").count() == 1


def test_an_answer_that_got_lost_is_made_good_by_the_next_report(round_: Round) -> None:
    round_.plan()
    [message] = round_.due()
    round_.adapter.hears(message.payload)
    round_.up(round_.adapter.report())
    round_.due()
    assert round_.delivery.state == Delivery.State.CONFIRMED


def test_an_adapter_that_fell_back_is_told_again_that_it_was_heard(round_: Round) -> None:
    round_.plan()
    round_.answers()
    round_.values(Place(1, 0))
    round_.answers()
    round_.due()
    round_.adapter.held = dict(reversed(round_.adapter.held.items()))
    round_.up(round_.adapter.report())
    round_.answers()
    round_.answers()
    assert round_.adapter.proved == [Place(1, 0), Place(1, 0)]


def test_a_refusal_is_shown_with_its_reason(round_: Round) -> None:
    round_.plan()
    [message] = round_.due()
    request = decode(message.payload, up=False)
    place: Place = request.place  # type: ignore[union-attr]
    round_.up(round_.adapter.says(DeliveryAnswer(request.seq, place, Result.CANNOT_BE_STORED, bytes(3))))
    round_.due()
    delivery = round_.delivery
    assert (delivery.state, delivery.code) == (Delivery.State.FAILED, "cannot_be_stored")
    assert "memory" in delivery.message
    assert delivery.key is not None
    assert delivery.key.state == KeyState.REVOKED


def test_after_a_restored_backup_numbers_go_on_above_what_the_adapter_has_seen(round_: Round) -> None:
    round_.adapter.last = 40
    round_.plan()
    round_.answers()
    round_.up(round_.adapter.report())
    [again] = round_.answers()
    round_.due()
    assert decode(again.payload, up=False).seq > 40
    assert round_.delivery.state == Delivery.State.CONFIRMED


def test_a_forged_answer_is_a_security_event_and_changes_nothing(round_: Round) -> None:
    round_.plan()
    [message] = round_.due()
    answer = bytearray(round_.adapter.hears(message.payload))
    answer[-1] ^= 1
    round_.up(bytes(answer))
    round_.due()
    assert round_.delivery.state == Delivery.State.DELIVERING
    event = AdapterEvent.objects.get(kind="security")
    assert (event.reason, event.detail["type"]) == ("key_message", "0x81")


def test_an_answer_of_another_adapter_changes_nothing(round_: Round) -> None:
    other = round_.stage.device()
    round_.plan()
    [message] = round_.due()
    answer = round_.adapter.hears(message.payload)
    round_._arrive(telegram(other.row.dev_eui, fport=34, payload=answer))
    round_.due()
    assert round_.delivery.state == Delivery.State.DELIVERING


@pytest.mark.parametrize("payload", [b"\x81", b"\x81" + bytes(15), b"\x81" * 51, b"\x84" + bytes(10)])
def test_nonsense_is_dropped(round_: Round, payload: bytes) -> None:
    round_.up(payload)
    assert round_.due() == []


def test_what_a_concentrator_does_not_take_is_told_and_sent_again(round_: Round) -> None:
    round_.plan()
    [message] = round_.due()
    eui = round_.stage.concentrator.eui
    round_.port.receipt(eui, Receipt(new_id(), timestamp(NOON), (MessageResult(message.id, "unknown_device"),)))
    round_.due()
    assert (round_.delivery.state, round_.delivery.code) == (Delivery.State.DELIVERING, "unknown_device")
    assert [again.payload for again in round_.due(later=901)] == [message.payload]


def test_a_revoked_key_is_forgotten_by_the_adapter(round_: Round) -> None:
    round_.plan()
    round_.answers()
    round_.values(Place(1, 0))
    round_.answers()
    round_.due()
    services.tick(datetime.fromtimestamp(NOON + 400 * 86400, UTC))
    round_.answers(later=400 * 86400)
    round_.due()
    assert OLD not in round_.adapter.held
    assert DeviceKey.objects.get(adapter=round_.device.row, purpose=Purpose.INNER, slot=1).forgotten_at is not None


def test_a_new_transport_key_is_used_at_once_so_that_the_adapter_leaves_the_old_one(round_: Round) -> None:
    old = round_.adapter.transport
    round_.plan(purpose="transport")
    round_.answers()
    round_.answers()
    round_.answers()
    assert round_.adapter.coming is None, "a request came under it"
    assert round_.adapter.transport != old
    assert round_.adapter.proved == [OLD]

    DeviceKey.objects.filter(purpose=Purpose.TRANSPORT, state=KeyState.RETIRING).update(state=KeyState.REVOKED)
    round_.up(round_.adapter.report())
    round_.due()
    assert not AdapterEvent.objects.filter(kind="security").exists()


def test_a_delivery_that_fails_unforeseen_waits_and_holds_up_no_other(
    round_: Round, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Round(round_.stage, round_.traveller)
    round_.plan()
    other.plan()
    bad = round_.device.row.pk
    whole = outgoing.request_for

    def break_one(row: Delivery, vault: Vault) -> Any:
        if row.adapter_id == bad:
            raise ZeroDivisionError("nobody foresaw this")
        return whole(row, vault)

    monkeypatch.setattr(outgoing, "request_for", break_one)
    [message] = other.due()
    assert message.dev_eui == other.device.row.dev_eui
    held_up = Delivery.objects.get(adapter=bad)
    assert (held_up.state, held_up.code) == (Delivery.State.DELIVERING, "unforeseen")

    monkeypatch.undo()
    assert [sent.dev_eui for sent in other.due(later=600)] == []
    assert round_.device.row.dev_eui in [sent.dev_eui for sent in other.due(later=3600)]
