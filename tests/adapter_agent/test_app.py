"""A whole adapter in one task: a meter's bytes in, authentic telegrams out, on a clock that moves only when told."""

import asyncio
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from adapter_agent.app import AdapterApp
from adapter_agent.config import check
from adapter_agent.keystore import KeyStoreError
from edge.clock import ManualClock
from edge.config import parse
from meterwire import config_records
from meterwire.config_records import (
    CounterReport,
    FirmwareReport,
    IdentityKind,
    OwnIdentity,
    ReadIdentity,
    Resolution,
)
from meterwire.counter import BLOCK
from meterwire.identity import identity_hash
from meterwire.lorawan import mac_commands as mac
from meterwire.lorawan.gpstime import gps_seconds
from tests.adapter_agent.cast import BEGIN, DEV_EUI, JOIN_EUI, SERVER_ID, opened, write_hand_over
from tests.adapter_agent.meter.build import energy, telegram
from tests.adapter_agent.meter_line import MeterLine
from tests.adapter_agent.radio.network import Network

IMPORT, POWER = "0100010800ff", "0100100700ff"


class House:
    """One adapter at one meter, and a network that tells it the time."""

    def __init__(self, folder: Path, more: str = "", **keys) -> None:
        self.clock = ManualClock()
        self.network = Telling(self.clock)
        self.sent = []
        self.line = MeterLine()
        write_hand_over(folder / "keys.json", **keys)
        self.text = f"""
            [adapter]
            dev_eui = "{DEV_EUI}"
            join_eui = "{JOIN_EUI}"
            state_dir = "state"
            key_file = "keys.json"
            [[input]]
            device = "{self.line.device}"
            [radio]
            confirm_every = 3
            [commissioning]
            minutes = 0
            {more}
        """
        self.source = folder / "adapter.toml"

    def app(self) -> AdapterApp:
        loaded = check(parse(self.text, self.source))
        return AdapterApp(loaded, self.clock, phy=self.network, on_sent=self.sent.append, random=Random(3))

    @asynccontextmanager
    async def running(self):
        app = self.app()
        task = asyncio.create_task(app.run())
        try:
            yield app
        finally:
            app.stop()
            await asyncio.wait_for(task, 30)

    async def meter(self, *entries: bytes) -> None:
        """The meter pushes, and is read; the bytes arrive through a real line."""
        self.line.say(telegram(*entries))
        await self.clock.advance(0)

    async def pass_time(self, seconds: float, *entries: bytes, every_s: float = 10.0) -> None:
        passed = 0.0
        while passed < seconds:
            await self.meter(*entries)
            await self.clock.advance(every_s)
            passed += every_s

    @property
    def telegrams(self) -> list:
        return [sent for sent in self.sent if sent.port == 16]

    def close(self) -> None:
        self.line.close()


class Telling(Network):
    """Answers DeviceTimeReq with the right time while `timely`."""

    timely = True

    def hear_data(self, heard):
        answer = super().hear_data(heard)
        if mac.DeviceTimeReq() in heard.commands and self.timely:
            now = mac.DeviceTimeAns.at(gps_seconds(heard.at))
            answer = self.down(commands=[now])
        return answer


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


async def test_registers_then_sends_what_the_meter_says(house):
    async with house.running():
        await house.pass_time(30, energy(IMPORT, 123456))
    first, second, third = house.sent[:3]
    assert first.port == second.port == 33
    assert first.acknowledged
    part = config_records.decode(first.payload)
    assert part.version == 0
    assert part.records[0] == CounterReport(0)
    assert isinstance(part.records[1], FirmwareReport)
    assert part.records[2] == OwnIdentity(DEV_EUI)
    part = config_records.decode(second.payload)
    assert part.records == (ReadIdentity(0, IdentityKind.SERVER_ID, SERVER_ID), Resolution(1, -1))
    assert third.port == 16
    assert opened(third.payload, third.counter) == {31: identity_hash(DEV_EUI, 0, SERVER_ID), 1: 12345}


async def test_telegrams_are_regular_and_every_third_is_confirmed(house):
    async with house.running():
        await house.pass_time(4 * 900, energy(IMPORT, 123456), every_s=60)
    times = [sent.end for sent in house.telegrams]
    assert 4 <= len(times) <= 6
    assert all(800 <= later - earlier <= 1000 for earlier, later in pairwise(times[1:]))
    # The first one proves which meter was read, and has to arrive.
    assert [sent.confirmed for sent in house.telegrams[:4]] == [True, False, False, True]
    assert house.telegrams[3].acknowledged
    counters = [sent.counter for sent in house.telegrams]
    assert counters == list(range(len(counters)))


async def test_nothing_is_sealed_before_the_date_is_known(house, caplog):
    house.network.timely = False
    async with house.running():
        await house.pass_time(300, energy(IMPORT, 123456))
        assert house.telegrams == []
        assert len([u for u in house.network.uplinks if mac.DeviceTimeReq() in u.commands]) > 2
        assert [sent.acknowledged for sent in house.sent if sent.port == 33] == [True, True]
        house.network.timely = True
        await house.pass_time(900, energy(IMPORT, 123456), every_s=60)
        assert house.telegrams


async def test_the_date_of_a_trusted_clock_is_enough(tmp_path):
    house = House(tmp_path, "[clock]\ntrusted = true")
    house.network.timely = False
    async with house.running():
        await house.pass_time(60, energy(IMPORT, 123456))
    assert house.telegrams
    house.close()


async def test_an_expired_key_raises_an_alarm_and_no_telegram(tmp_path, caplog):
    key = {"slot": 1, "key": "00" * 16, "not_after": "2025-12-31T00:00:00Z"}
    house = House(tmp_path, inner_keys=[key])
    async with house.running():
        await house.pass_time(60, energy(IMPORT, 123456))
    assert house.telegrams == []
    assert "no_valid_key" in [getattr(record, "alarm", "") for record in caplog.records]
    house.close()


async def test_a_great_change_is_told_at_once(tmp_path):
    house = House(tmp_path, '[sampler]\nregisters = ["1-0:16.7.0"]\non_change = { "1-0:16.7.0" = 500 }')
    async with house.running():
        await house.pass_time(100, energy(POWER, 1000).replace(b"\x62\x1e", b"\x62\x1b"))
        before = len(house.telegrams)
        await house.pass_time(20, energy(POWER, 60000).replace(b"\x62\x1e", b"\x62\x1b"))
        assert [opened(sent.payload, sent.counter)[7] for sent in house.telegrams[before:]] == [6000]
    house.close()


async def test_a_restart_repeats_neither_counter_nor_join(house):
    async with house.running():
        await house.pass_time(60, energy(IMPORT, 1))
    first = [sent.counter for sent in house.telegrams]
    assert not (house.source.parent / "keys.json").exists()
    house.sent.clear()
    async with house.running():
        await house.pass_time(60, energy(IMPORT, 2))
    assert [sent.counter for sent in house.telegrams] == [BLOCK]
    assert first == [0]
    assert len(house.network.joins) == 1


async def test_after_a_new_join_the_counter_is_reported_again(house):
    async with house.running():
        await house.pass_time(60, energy(IMPORT, 1))
        house.network.mute = True
        await house.pass_time(8 * 900, energy(IMPORT, 2), every_s=120)
        house.network.mute = False
        await house.pass_time(3600, energy(IMPORT, 3), every_s=120)
    assert len(house.network.joins) > 1
    reports = [config_records.decode(sent.payload).records[0] for sent in house.sent if sent.port == 33]
    assert reports[0] == CounterReport(0)
    assert reports[-1].counter > 0
    counters = [sent.counter for sent in house.telegrams]
    assert counters == sorted(set(counters))


async def test_the_time_is_asked_for_daily(house):
    async with house.running():
        await house.pass_time(60, energy(IMPORT, 1))
        asked = [u for u in house.network.uplinks if mac.DeviceTimeReq() in u.commands]
        await house.pass_time(86_400 + 1800, energy(IMPORT, 2), every_s=900)
    again = [u for u in house.network.uplinks if mac.DeviceTimeReq() in u.commands]
    assert len(asked) == 1
    assert len(again) == 2


@pytest.mark.parametrize("jump", [-100_000.0, 100_000.0])
async def test_setting_the_machines_clock_moves_no_telegram_and_no_date(house, jump):
    async with house.running():
        await house.pass_time(60, energy(IMPORT, 1))
        house.clock.jump(jump)
        before = len(house.telegrams)
        await house.pass_time(3 * 900, energy(IMPORT, 2), every_s=60)
        assert 2 <= len(house.telegrams) - before <= 4


async def test_an_adapter_without_keys_does_not_start(tmp_path):
    house = House(tmp_path)
    (tmp_path / "keys.json").unlink()
    with pytest.raises(KeyStoreError):
        await house.app().run()
    house.close()


async def test_a_full_disk_stops_telegrams_and_not_the_adapter(house, monkeypatch, caplog):
    from adapter_agent.keystore import CounterFile
    from edge.sealedfile import SealedFileError

    def full(self, bound):
        raise SealedFileError("no space left")

    async with house.running():
        await house.meter()
        with monkeypatch.context() as patch:
            patch.setattr(CounterFile, "save", full)
            await house.pass_time(60, energy(IMPORT, 1))
        assert house.telegrams == []
        assert "no space left" in caplog.text
        await house.pass_time(1000, energy(IMPORT, 1), every_s=60)
        assert opened(house.telegrams[0].payload, house.telegrams[0].counter)[1] == 0


def test_the_house_begins_when_its_clock_does():
    assert ManualClock().time() == BEGIN
