"""Keys change over the radio while telegrams go on: delivered or agreed on, tried, proved, or given up."""

import asyncio

import pytest

from meterwire.curves import Curve, PrivateKey
from meterwire.key_exchange import agreed_key
from meterwire.key_messages import (
    MESSAGES,
    DeliveryAnswer,
    ExchangeAnswer,
    ExchangeConfirm,
    ExchangeOffer,
    ExchangeResult,
    KeyDelivery,
    KeyPurpose,
    KeyReport,
    KeyRevoke,
    Place,
    Result,
    RevokeAnswer,
    decode,
    mac_keys,
    verify,
    wrap,
)
from meterwire.seal import InnerKey, Key16, parse_values
from tests.adapter_agent.cast import BEGIN, DEV_EUI, opened
from tests.adapter_agent.house import House

TRANSPORT, NEW = Key16(bytes([0xA0] * 16)), Key16(bytes([0x22] * 16))
MACS = mac_keys(TRANSPORT)
END = int(BEGIN) + 300 * 86_400
PLACE = Place(KeyPurpose.INNER, 2)


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path, transport_keys=[{"partner": "portal", "key": TRANSPORT.reveal().hex()}])
    yield house
    house.close()


def request(house, message) -> None:
    house.network.about_keys.append(message.encode(MACS.down, DEV_EUI))


def delivery(seq: int = 1) -> KeyDelivery:
    return KeyDelivery(seq, PLACE, None, END, wrap(TRANSPORT, NEW), NEW.check_value())


def said(house, kind) -> list:
    """What the network has acknowledged of a kind on port 34; every one is authentic."""
    messages = []
    for sent in house.sent:
        if sent.port == 34 and sent.payload[0] in MESSAGES:
            verify(sent.payload, MACS.up, DEV_EUI)
            if sent.acknowledged:
                messages.append(decode(sent.payload, up=True))
    return [message for message in messages if isinstance(message, kind)]


def slots(house) -> list[int]:
    return [parse_values(sent.payload).key_slot for sent in house.telegrams]


async def until_settled(house) -> None:
    """Joined, and the first hurry is over."""
    await house.pass_time(1500, every_s=20)


async def test_a_join_is_followed_by_one_report_and_telegrams_go_on(house):
    async with house.running():
        await until_settled(house)
    [report] = said(house, KeyReport)
    assert [held.place for held in report.keys] == [Place(KeyPurpose.INNER, 1)]
    assert slots(house)


async def test_a_key_is_delivered_tried_and_proved_and_the_old_one_revoked(house):
    async with house.running():
        await until_settled(house)
        request(house, delivery())
        await house.pass_time(2000, every_s=20)
        assert said(house, DeliveryAnswer) == [DeliveryAnswer(1, PLACE, Result.STORED, NEW.check_value())]
        request(house, ExchangeConfirm(2, PLACE, None, END, NEW.check_value()))
        await house.pass_time(2000, every_s=20)
        assert said(house, ExchangeResult) == [ExchangeResult(2, PLACE, Result.STORED, NEW.check_value())]
        request(house, KeyRevoke(3, Place(KeyPurpose.INNER, 1)))
        await house.pass_time(2000, every_s=20)
        assert [answer.result for answer in said(house, RevokeAnswer)] == [Result.STORED]
    seen = slots(house)
    assert seen == sorted(seen)
    assert set(seen) == {1, 2}
    last = house.telegrams[-1]
    assert opened(last.payload, last.counter, NEW.reveal())
    counters = [sent.counter for sent in house.telegrams]
    assert counters == sorted(set(counters))


async def test_a_key_is_agreed_on_over_the_radio(house):
    own = PrivateKey.generate(Curve.P256, bytes(range(48)))
    async with house.running():
        await until_settled(house)
        request(house, ExchangeOffer(1, PLACE, own.public))
        await house.pass_time(2000, every_s=20)
        [answer] = said(house, ExchangeAnswer)
        agreed = agreed_key(
            own,
            answer.public,
            initiator=own.public,
            responder=answer.public,
            dev_eui=DEV_EUI,
            place=PLACE,
            seq=1,
        )
        assert set(slots(house)) == {1}
        request(house, ExchangeConfirm(1, PLACE, None, END, agreed.check_value()))
        await house.pass_time(3000, every_s=20)
    assert isinstance(agreed, InnerKey)
    assert said(house, ExchangeResult)[0].result is Result.STORED
    last = house.telegrams[-1]
    assert slots(house)[-1] == 2
    assert opened(last.payload, last.counter, agreed.reveal())


async def test_power_lost_before_the_answer_left_costs_neither_key_nor_answer(house):
    app = house.app()
    task = asyncio.create_task(app.run())
    await until_settled(house)
    app.downlink(34, delivery().encode(MACS.down, DEV_EUI))
    await house.crash(task, app)
    assert said(house, DeliveryAnswer) == []
    async with house.running():
        await house.pass_time(2000, every_s=20)
    assert said(house, DeliveryAnswer) == [DeliveryAnswer(1, PLACE, Result.STORED, NEW.check_value())]
    assert slots(house)[-1] == 2


async def test_a_network_that_answers_nothing_is_not_flooded_and_telegrams_go_on(house):
    async with house.running() as app:
        await until_settled(house)
        before = len(house.telegrams)
        app.downlink(34, delivery().encode(MACS.down, DEV_EUI))
        house.network.mute = True
        await house.pass_time(3600, every_s=20)
    tries = [sent for sent in house.sent if sent.port == 34 and sent.payload[0] == DeliveryAnswer.type]
    assert 2 <= len(tries) <= 12
    assert len(house.telegrams) > before + 2


async def test_what_anybody_sends_on_port_34_is_left(house, caplog):
    async with house.running() as app:
        await until_settled(house)
        heard = said(house, object)
        for payload in (b"", b"\x01" * 47, bytes(200), delivery().encode(MACS.up, DEV_EUI)):
            app.downlink(34, payload)
        await house.pass_time(1000, every_s=20)
    assert said(house, object) == heard
    assert caplog.text.count("not authentic") == 4
