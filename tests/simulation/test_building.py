"""A whole building in one process: fifty adapters, their meters, the air and a forwarder."""

import asyncio
import contextlib
import os
import random
import socket
import zlib
from pathlib import Path

import pytest

from adapter_agent.meter.sml import SmlMeter
from adapter_agent.radio.phy import Window
from adapter_agent.simulation.apartment_house import apartment_house
from adapter_agent.simulation.building import Building, BuildingError
from adapter_agent.simulation.config import Config, GatewayPlace, MeterPlace, check
from adapter_agent.simulation.reception import Fate
from edge.clock import ManualClock, SystemClock
from edge.config import parse
from meterwire.ids import GatewayEUI
from tests.simulation.driving import until

EUI = "aa555a0000000101"


def house(adapters: int, folder: Path, port: int = 9) -> Config:  # the discard port: nobody is disturbed
    return apartment_house(adapters, [GatewayPlace(GatewayEUI.parse(EUI), port, floor=-1)], folder=folder)


class Ear:
    """A meter's line with a decoder at its other end."""

    def __init__(self) -> None:
        self.decoder = SmlMeter()
        self.readings = 0

    def write(self, data: bytes) -> None:
        self.readings += len(self.decoder.feed(data))


class Reader:
    """An adapter's end of a meter's device."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        self._decoder = SmlMeter()
        self._readings = 0

    def has_heard(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            self._readings += len(self._decoder.feed(os.read(self._fd, 4096)))
        return self._readings > 0

    def close(self) -> None:
        os.close(self._fd)


async def test_fifty_adapters_send_and_their_meters_talk(tmp_path: Path) -> None:
    clock = ManualClock()
    ears: dict[str, Ear] = {}

    def line(place: MeterPlace) -> Ear:
        return ears.setdefault(place.name, Ear())

    config = house(50, tmp_path)
    chance = random.Random(50)

    async def adapter(number: int) -> None:
        phy = building.air.phy(config.adapter[number].dev_eui)
        await clock.sleep(number * 0.6)
        frequency = chance.choice([868_100_000, 868_300_000, 868_500_000, 867_100_000])
        await phy.exchange(bytes(29), freq_hz=frequency, dr=5, power_dbm=14, windows=(Window(1.0, frequency, 5),))

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        config = house(50, tmp_path, server.getsockname()[1])
        async with Building(config, clock, line) as building:
            crowd = asyncio.gather(*(adapter(number) for number in range(50)))
            await clock.advance(35.0, settle=6)
            await crowd
            account = building.air.account
            assert (account.uplinks, account.delivered) == (50, 50)
            assert account.fates == {Fate.RECEIVED: 50}
            assert building.forwarders[EUI].tally.forwarded == 50
    assert len(ears) == 51
    assert all(ear.readings >= 5 and not ear.decoder.refused for ear in ears.values())


async def test_meters_can_be_read_at_their_devices(tmp_path: Path) -> None:
    config = house(3, tmp_path / "meters")
    clock = ManualClock()
    async with Building(config, clock) as building:
        assert {path.name for path in (tmp_path / "meters").iterdir()} == {meter.name for meter in config.meter}
        for name in building.meters:
            reader = Reader(config.device(name))
            await until(reader.has_heard, clock)
            reader.close()
    assert not any((tmp_path / "meters").iterdir())


async def test_a_replayed_capture_and_a_growing_file(tmp_path: Path) -> None:
    telegram = (Path(__file__).parent.parent / "vectors" / "sml" / "iskra-mt631.bin").read_bytes()
    (tmp_path / "capture.bin").write_bytes(telegram)
    text = """
[building]
folder = "meters"
[[meter]]
name = "replayed"
capture = "capture.bin"
output = "file"
period_s = 1.0
"""
    config = check(parse(text, tmp_path / "building.toml"))
    clock = ManualClock()
    async with Building(config, clock):
        await clock.advance(6.0)
    assert len(SmlMeter().feed((tmp_path / "meters" / "replayed").read_bytes())) >= 4


@pytest.mark.parametrize("content", [None, b"no telegram in here"])
def test_a_capture_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "capture.bin").write_bytes(content)
    config = Config(meter=(MeterPlace(name="m", capture=tmp_path / "capture.bin"),))
    with pytest.raises(BuildingError, match=r"capture\.bin of meter m"):
        Building(config, ManualClock())


async def test_a_device_that_cannot_be_made_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "meters").write_text("a file, not a folder")
    with pytest.raises(BuildingError, match="no device for meter flat-01"):
        async with Building(house(2, tmp_path / "meters"), ManualClock()):
            pass


async def test_a_failure_in_one_part_is_told(tmp_path: Path) -> None:
    place = GatewayPlace(GatewayEUI.parse(EUI), 1700, host="256.0.0.1")
    async with Building(Config(gateway=(place,)), ManualClock()) as building:
        with pytest.raises(Exception) as caught:
            await asyncio.wait_for(building.wait(), 10)
        assert "256.0.0.1" in repr(caught.value)


async def test_a_building_without_anything_waits(tmp_path: Path) -> None:
    async with Building(Config(), SystemClock()) as building:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(building.wait(), 0.01)
        assert building.server.port > 0


def test_each_meter_has_a_load_of_its_own(tmp_path: Path) -> None:
    building = Building(house(12, tmp_path), ManualClock())
    telegrams = {zlib.crc32(meter.telegram(1_772_000_000.0)) for meter in building.meters.values()}
    assert len(telegrams) == len(building.meters)
