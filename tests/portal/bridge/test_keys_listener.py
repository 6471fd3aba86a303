"""Somebody recorded everything and gets database and older keys later: delivered keys open, agreed ones do not."""

from collections.abc import Iterator

import pytest
import time_machine
from django.db import connection

from meterwire.curves import Curve, PrivateKey, PublicKey
from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI
from meterwire.key_exchange import agreed_key
from meterwire.key_messages import ExchangeAnswer, ExchangeOffer, KeyDelivery, decode, unwrap
from meterwire.seal import InnerKey, Key16, ValuesOpener
from portal.telemetry.models import Telegram
from provisioning.campaigns.services import ephemeral
from provisioning.keys.models import DeviceKey
from tests.portal.bridge.test_keys import Round
from tests.portal.stage import NOON, Stage

pytestmark = pytest.mark.django_db


@pytest.fixture
def round_(stage: Stage) -> Iterator[Round]:
    with time_machine.travel(NOON, tick=False) as traveller:
        yield Round(stage, traveller)


def replaced(round_: Round, method: str) -> list[bytes]:
    """The adapter's key is replaced and used; all that went through the air on port 34 meanwhile."""
    round_.plan(method=method)
    heard = [bytes(message.payload) for _ in range(3) for message in round_.answers()]
    heard += [bytes(row.payload) for row in Telegram.objects.filter(fport=34)]
    round_.values(next(iter(round_.adapter.held)))
    return heard


def known_to_the_listener(round_: Round, heard: list[bytes], older: list[Key16]) -> list[InnerKey]:
    """Every key that follows from the record, the older keys, and what the database holds without its KEK."""
    messages = [decode(payload, up=payload[0] >= 0x80) for payload in heard]
    found = [InnerKey(key.reveal()) for key in older]
    for message in messages:
        if isinstance(message, KeyDelivery):
            found.append(InnerKey(unwrap(older[0], message.wrapped).reveal(), message.place.tag_length))
    offers = [message for message in messages if isinstance(message, ExchangeOffer)]
    answers = [message for message in messages if isinstance(message, ExchangeAnswer)]
    for offer in offers:
        for answer in answers:
            for secret in secrets_in_the_database(round_):
                for own, peer in ((offer.public, answer.public), (answer.public, offer.public)):
                    found += guessed(secret, own, peer, offer, answer, round_.dev_eui)
    return found


def guessed(
    secret: bytes, own: PublicKey, peer: PublicKey, offer: ExchangeOffer, answer: ExchangeAnswer, dev_eui: DevEUI
) -> list[InnerKey]:
    try:
        private = PrivateKey(Curve(own.curve), secret)
        return [
            agreed_key(
                private, peer, initiator=offer.public, responder=answer.public, dev_eui=dev_eui, place=offer.place,
                seq=offer.seq,
            )
        ]  # fmt: skip
    except MeterspanError:
        return []


def secrets_in_the_database(round_: Round) -> list[bytes]:
    """Each 32 bytes in a row that a careless portal would have left there: what is sealed stays as it lies."""
    found: list[bytes] = []
    with connection.cursor() as cursor:
        for table in ("campaigns_delivery", "keys_devicekey"):
            cursor.execute(f"select * from {table}")
            for row in cursor.fetchall():
                for value in row:
                    octets = bytes(value) if isinstance(value, bytes | memoryview) else b""
                    found += [octets[at : at + 32] for at in range(len(octets) - 31)]
    return found


def opens_something_newer(keys: list[InnerKey], round_: Round) -> bool:
    newest = Telegram.objects.filter(fport=16).latest("counter")
    assert newest.counter is not None
    for key in keys:
        for tag_length in (4, 8):
            opener = ValuesOpener(InnerKey(key.reveal(), tag_length), round_.dev_eui)
            try:
                opener.open_raw(bytes(newest.payload), newest.counter)
            except MeterspanError:
                continue
            return True
    return False


@pytest.mark.parametrize("method, opens", [("delivery", True), ("exchange", False)])
def test_what_yesterdays_keys_and_a_stolen_database_open(round_: Round, method: str, opens: bool) -> None:
    older = [round_.adapter.transport, *(Key16(key.reveal()) for key in round_.adapter.held.values())]
    heard = replaced(round_, method)
    assert DeviceKey.objects.filter(purpose="inner", state="active", slot=0).exists()

    keys = known_to_the_listener(round_, heard, older)
    assert opens_something_newer(keys, round_) is opens


def test_an_ephemeral_key_left_in_the_database_would_be_found(round_: Round) -> None:
    """The attack has teeth: with our half of the exchange it opens the newest telegram."""
    older = [round_.adapter.transport]
    round_.plan(method="exchange")
    [offer] = round_.due()
    private = ephemeral(round_.delivery, round_.stage.vault)
    answer = round_.adapter.hears(offer.payload)
    round_.up(answer)
    heard = [offer.payload, answer, *(message.payload for message in round_.answers())]
    round_.due()
    round_.values(next(iter(round_.adapter.held)))
    request, answered = decode(heard[0], up=False), decode(heard[1], up=True)
    assert isinstance(request, ExchangeOffer)
    assert isinstance(answered, ExchangeAnswer)
    keys = guessed(private.reveal(), request.public, answered.public, request, answered, round_.dev_eui)
    assert not opens_something_newer([InnerKey(key.reveal()) for key in older], round_)
    assert opens_something_newer(keys, round_)
