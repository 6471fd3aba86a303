"""A whole adapter keeps its daybook, signs the day that is over, and answers what the portal asks on port 34."""

import pytest

from meterwire import key_messages, signed_day
from meterwire.key_messages import KeyDelivery, KeyPurpose, Place
from meterwire.seal import Key16
from meterwire.signed_day import DayRequest, SignatureHalf, SigningKey, Statement, Wanted, day_number, leaf
from tests.adapter_agent import cast
from tests.adapter_agent.house import House

TRANSPORT = bytes(range(32, 48))
TRANSPORT_KEYS = [{"partner": "portal", "key": TRANSPORT.hex()}]


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path, transport_keys=TRANSPORT_KEYS)
    yield made
    made.close()


def told(house) -> list:
    """What has arrived about days, taken apart."""
    payloads = [sent.payload for sent in house.sent if sent.port == 34 and sent.payload[0] >= 0xA0]
    return [signed_day.decode(payload, up=True) for payload in payloads]


async def a_day(house) -> None:
    """Some readings, then a meter that says nothing, until the adapter has signed."""
    await house.pass_time(600, every_s=30)
    house.server_id = None
    await house.pass_time(31 * 3600, every_s=300)


async def test_the_day_is_signed_by_the_key_that_was_announced(house):
    async with house.running():
        await a_day(house)
    frames = told(house)
    (key,) = [one for one in frames if isinstance(one, SigningKey)]
    halves = {one.half: one for one in frames if isinstance(one, SignatureHalf) and one.day == day_number(cast.BEGIN)}
    leaves = {
        sent.counter: leaf(cast.DEV_EUI, sent.counter, 16, sent.payload)
        for sent in house.telegrams
        if halves[0].first <= sent.counter <= halves[0].last
    }
    statement = Statement.of(cast.DEV_EUI, halves[0].day, sorted(leaves.items()))
    key.public.verify(halves[0].octets + halves[1].octets, statement.message)
    assert statement.leaves == halves[0].leaves


async def test_a_telegram_that_is_asked_for_is_sent_again_as_it_was(house):
    async with house.running() as app:
        await house.pass_time(600, every_s=30)
        first = house.telegrams[0]
        request = DayRequest(day_number(cast.BEGIN), Wanted.TELEGRAMS, first.counter, 1)
        key = key_messages.mac_keys(Key16(TRANSPORT)).down
        app.downlink(34, signed_day.encode(request, key, cast.DEV_EUI))
        await house.pass_time(600, every_s=30)
    again = [sent for sent in house.telegrams if sent.counter == first.counter]
    assert len(again) == 2
    assert again[1].payload == first.payload


async def test_what_is_asked_for_under_a_new_transport_key_is_answered(house):
    old, new = Key16(TRANSPORT), Key16(bytes([0xC0] * 16))
    place = Place(KeyPurpose.TRANSPORT, 0)
    delivery = KeyDelivery(1, place, None, None, key_messages.wrap(old, new), new.check_value())
    async with house.running() as app:
        await house.pass_time(600, every_s=30)
        app.downlink(34, delivery.encode(key_messages.mac_keys(old).down, cast.DEV_EUI))
        await house.pass_time(60, every_s=30)
        request = DayRequest(day_number(cast.BEGIN), Wanted.KEY)
        app.downlink(34, signed_day.encode(request, key_messages.mac_keys(new).down, cast.DEV_EUI))
        await house.pass_time(600, every_s=30)
    last = [sent.payload for sent in house.sent if sent.port == 34 and sent.payload[0] == SigningKey.type][-1]
    signed_day.authenticate(last, key_messages.mac_keys(new).up, cast.DEV_EUI)


async def test_signing_can_be_switched_off(tmp_path):
    house = House(tmp_path, more="[signing]\nenabled = false\n", transport_keys=TRANSPORT_KEYS)
    async with house.running():
        await a_day(house)
    house.close()
    assert told(house) == []
    assert not (tmp_path / "state" / "days").exists()


async def test_an_unreadable_signing_key_is_an_alarm_and_telegrams_go_on(house, tmp_path, caplog):
    async with house.running():
        await house.pass_time(300, every_s=30)
    (tmp_path / "state" / "signing.sealed").write_bytes(b"MSPAN1 damaged")
    before = len(house.telegrams)
    async with house.running():
        await house.pass_time(1200, every_s=30)
    assert "no day will be signed" in caplog.text
    assert len(house.telegrams) > before


async def test_state_of_signed_days_is_for_the_owner_alone(house, tmp_path):
    async with house.running():
        await house.pass_time(300, every_s=30)
    files = [tmp_path / "state" / "signing.sealed", *(tmp_path / "state" / "days").iterdir()]
    assert len(files) == 2
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
