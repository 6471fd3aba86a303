"""What adapters send on port 34 waits in a table until somebody has acted on it, through crashes and repetitions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from django.db import OperationalError

from meterwire.errors import AuthenticationError
from meterwire.messages import DownlinkCommand, Receipt
from portal.bridge.ingest import Ingest
from portal.bridge.key_port import MAX_SURPRISES, KeyPort
from portal.bridge.mail import Mail
from portal.bridge.models import KeyMail
from tests.portal.stage import NOON, Device, Stage, telegram

pytestmark = pytest.mark.django_db


@dataclass
class Listener:
    """Takes messages of type 0x81; `does` may fail."""

    does: Callable[[KeyMail], None] = lambda _: None
    heard: list[bytes] = field(default_factory=list)

    def takes(self, kind: int) -> bool:
        return kind == 0x81

    def take(self, mail: KeyMail, now: datetime) -> None:
        self.does(mail)
        self.heard.append(bytes(mail.payload))

    def due(self, now: datetime) -> list[tuple[str, DownlinkCommand]]:
        return []

    def receipt(self, eui: str, receipt: Receipt) -> None: ...


@pytest.fixture
def device(stage: Stage) -> Device:
    return stage.device()


def arrive(stage: Stage, device: Device, payload: bytes, **fields: object) -> str:
    sent = telegram(device.row.dev_eui, fport=34, payload=payload, **fields)
    outcome = Ingest(stage.pipeline).run([Mail(stage.concentrator.eui, telegrams=(sent,))], round(NOON * 1e6))
    assert [result.code for result in outcome.receipts[stage.concentrator.eui]] == [None]
    return sent.id


def test_a_message_is_given_to_whom_its_type_belongs_and_then_gone(stage: Stage, device: Device) -> None:
    arrive(stage, device, b"\x81first")
    listener = Listener()
    KeyPort([listener]).turn(NOON)

    assert listener.heard == [b"\x81first"]
    assert not KeyMail.objects.exists()


def test_nobodys_message_is_dropped(stage: Stage, device: Device) -> None:
    arrive(stage, device, b"\x99what")
    KeyPort([Listener()]).turn(NOON)
    assert not KeyMail.objects.exists()


def test_a_failure_in_the_middle_keeps_the_message_and_holds_up_no_other(stage: Stage, device: Device) -> None:
    arrive(stage, device, b"\x81again")
    arrive(stage, device, b"\x81next")

    def fail(mail: KeyMail) -> None:
        if bytes(mail.payload) == b"\x81again":
            KeyMail.objects.filter(adapter=mail.adapter).delete()
            raise RuntimeError("nobody foresaw this")

    failing = Listener(fail)
    port = KeyPort([failing])
    port.turn(NOON)
    assert failing.heard == [b"\x81next"]
    assert [bytes(mail.payload) for mail in KeyMail.objects.all()] == [b"\x81again"], "what it did is taken back"

    listener = Listener()
    KeyPort([listener]).turn(NOON)
    assert listener.heard == [b"\x81again"]


def test_a_message_that_fails_again_and_again_is_dropped_in_the_end(stage: Stage, device: Device) -> None:
    arrive(stage, device, b"\x81bad")

    def fail(_: KeyMail) -> None:
        raise RuntimeError("nobody foresaw this")

    port = KeyPort([Listener(fail)])
    for _ in range(MAX_SURPRISES):
        assert KeyMail.objects.exists()
        port.turn(NOON)
    assert not KeyMail.objects.exists()


def test_a_database_that_is_away_is_no_fault_of_the_message(stage: Stage, device: Device) -> None:
    arrive(stage, device, b"\x81wait")

    def away(_: KeyMail) -> None:
        raise OperationalError("the connection was lost")

    port = KeyPort([Listener(away)])
    for _ in range(MAX_SURPRISES + 1):
        with pytest.raises(OperationalError):
            port.turn(NOON)
    assert KeyMail.objects.exists()


def test_a_party_that_fails_holds_up_no_other(stage: Stage) -> None:
    class Broken(Listener):
        def due(self, now: datetime) -> list[tuple[str, DownlinkCommand]]:
            raise RuntimeError("nobody foresaw this")

    class Sending(Listener):
        def due(self, now: datetime) -> list[tuple[str, DownlinkCommand]]:
            return [("eui", "message")]  # type: ignore[list-item]

    assert len(KeyPort([Broken(), Sending()]).turn(NOON)) == 1


def test_a_worthless_message_does_not_come_back(stage: Stage, device: Device) -> None:
    arrive(stage, device, b"\x81forged")

    def refuse(_: KeyMail) -> None:
        raise AuthenticationError("another transport key, or changed bytes")

    KeyPort([Listener(refuse)]).turn(NOON)
    assert not KeyMail.objects.exists()


def test_a_telegram_that_comes_again_before_it_was_worked_on_is_one_message(stage: Stage, device: Device) -> None:
    pk = arrive(stage, device, b"\x81once", fcnt=7)
    sent = telegram(device.row.dev_eui, fport=34, payload=b"\x81once", fcnt=7, id=pk)
    Ingest(stage.pipeline).run([Mail(stage.concentrator.eui, telegrams=(sent,))], round(NOON * 1e6))

    listener = Listener()
    KeyPort([listener]).turn(NOON)
    assert listener.heard == [b"\x81once"]


def test_foreign_devices_and_empty_messages_are_no_key_messages(stage: Stage, device: Device) -> None:
    foreign = stage.device(kind="foreign", keyed=False)
    arrive(stage, foreign, b"\x81x")
    arrive(stage, device, b"")
    assert not KeyMail.objects.exists()
