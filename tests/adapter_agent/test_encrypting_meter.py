"""A whole adapter at an M-Bus meter that encrypts by itself: what arrives with and without its key."""

from contextlib import asynccontextmanager

import pytest

from adapter_agent.passing import MAX_BYTES
from adapter_agent.simulation.mbus_meter import Bus, MbusMeter
from meterwire.config_records import IdentityKind, ReadIdentity
from meterwire.ids import MeterId
from meterwire.key_messages import KeyDelivery, KeyPurpose, Place, mac_keys, wrap
from meterwire.seal import Key16
from meterwire.wmbus import decode_upper, open_records
from tests.adapter_agent.bus import Carried
from tests.adapter_agent.cast import DEV_EUI, opened
from tests.adapter_agent.house import House, reported

ID = MeterId.parse("1EMH0012345678")
KEY, TRANSPORT = Key16(bytes(range(16))), Key16(bytes([0xA0] * 16))


class Mains:
    def number(self, quantity, unix):
        return {"import": 12_345_678_900, "export": 5_000, "power": -1_500_999}[quantity]


class BriefMeter(MbusMeter):
    """Sends its import only."""

    def records(self, unix):
        return super().records(unix)[:8]


class Encrypted(House):
    """The house's adapter asks a meter on a bus; the clock waits while bytes travel."""

    def __init__(self, folder, carried, meter, **keys) -> None:
        super().__init__(folder, "[commissioning]\nminutes = 0\n[sampler]\nperiod_s = 60", **keys)
        self.carried = carried
        self.server_id = None  # nobody pushes here
        self.bus = Bus(meter, folder / "bus", self.clock)
        device = f'device = "{self.line.device}"'
        asked = f'device = "{folder / "bus"}"\ninterface = "mbus"\nbaud = 2400\nevery_s = 20'
        self.text = self.text.replace(device, asked)

    @asynccontextmanager
    async def asked(self):
        with self.bus:
            async with self.running() as app:
                yield app

    async def wait(self, seconds: float) -> None:
        await self.carried.wait(seconds, self.clock, self.bus)

    def on(self, port: int) -> list[bytes]:
        return [sent.payload for sent in self.sent if sent.port == port]


@pytest.fixture
def house(tmp_path, monkeypatch):
    made, carried = [], Carried(monkeypatch)

    def make(meter, **keys):
        made.append(Encrypted(tmp_path, carried, meter, **keys))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("mode", [5, 7])
async def test_with_the_key_its_values_arrive_sealed_anew(house, mode):
    home = house(MbusMeter(ID, Mains(), KEY, mode=mode), meter_keys=[{"input": 0, "key": KEY.reveal().hex()}])
    async with home.asked():
        await home.wait(200)
    assert home.telegrams
    for sent in home.telegrams:
        values = opened(sent.payload, sent.counter)
        assert (values[1], values[2]) == (12_345_678, 5)
    assert not home.on(18)
    assert not home.on(19)
    name = ReadIdentity(0, IdentityKind.SERVER_ID, ID.lmn_server_id(wired=True))
    assert name in reported(home.reports, ReadIdentity)


async def test_without_the_key_its_telegrams_pass_through_and_the_owner_of_the_key_opens_them(house):
    home = house(BriefMeter(ID, Mains(), KEY))
    async with home.asked():
        await home.wait(200)
    assert not home.telegrams
    passed = home.on(19)
    assert passed
    assert len(set(passed)) == len(passed)  # each once
    for payload in passed:
        upper = decode_upper(payload)
        found = open_records(upper, upper.address, KEY)
        assert len(payload) <= MAX_BYTES
        assert found.records[2:10] == bytes.fromhex("0603") + (12_345_678).to_bytes(6, "little")


async def test_a_telegram_that_is_too_long_to_pass_is_an_alarm_and_not_cut_into_pieces(house, caplog):
    home = house(MbusMeter(ID, Mains(), KEY))
    async with home.asked():
        await home.wait(200)
    assert not home.on(18) + home.on(19)
    alarms = [one for one in caplog.records if getattr(one, "alarm", "") == "meter_telegram_too_long"]
    assert [(one.input, one.bytes) for one in alarms] == [(0, 63)]  # 17 of authentication, 14 of header, two blocks
    assert "deliver the meter's key" in alarms[0].getMessage()


async def test_a_key_that_is_delivered_later_turns_passed_telegrams_into_values(house):
    home = house(BriefMeter(ID, Mains(), KEY), transport_keys=[{"partner": "portal", "key": TRANSPORT.reveal().hex()}])
    async with home.asked():
        await home.wait(150)
        assert home.on(19)
        assert not home.telegrams
        delivery = KeyDelivery(1, Place(KeyPurpose.METER, 0), None, None, wrap(TRANSPORT, KEY), KEY.check_value())
        home.network.about_keys.append(delivery.encode(mac_keys(TRANSPORT).down, DEV_EUI))
        await home.wait(70)  # it comes with the answer to the next uplink
        passed = len(home.on(19))
        await home.wait(200)
    assert home.telegrams
    assert all(opened(sent.payload, sent.counter)[1] == 12_345_678 for sent in home.telegrams)
    assert len(home.on(19)) <= passed + 1  # one may have waited already
