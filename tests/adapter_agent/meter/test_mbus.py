"""A wired M-Bus: our master at a meter that encrypts, over a real pseudo-terminal, and a foreign master there."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from adapter_agent.config import Input
from adapter_agent.inputs import Decoding, read_inputs
from adapter_agent.meter import INTERFACES, Installation
from adapter_agent.meter.mbus import MbusMeter, Station
from adapter_agent.meter.mbus.frame import FrameScanner
from adapter_agent.simulation import mbus_meter
from edge.clock import ManualClock
from meterwire.errors import FormatError
from meterwire.ids import MeterId
from meterwire.seal import Key16
from meterwire.wmbus import Address, LongFrame, decode_long, seal_5
from meterwire.wmbus.wired import short
from tests.adapter_agent.bus import Carried

ID = MeterId.parse("1EMH0012345678")
KEY = Key16(bytes(range(16)))
OTHER = Key16(bytes(range(1, 17)))


class Mains:
    def number(self, quantity, unix):
        return {"import": 12_345_678_900, "export": 5_000, "power": -1_500_999}[quantity]


def meter(key=KEY, **options):
    return mbus_meter.MbusMeter(ID, Mains(), key, **options)


def said(device) -> bytes:
    return LongFrame(0x08, 1, device.telegram(0)).encode()


class Asked:
    """An input at a bus, on a clock that moves only when told."""

    def __init__(self, folder, carried, device, **settings) -> None:
        self.carried = carried
        self.clock, self.readings, self.passed, self.key = ManualClock(), [], [], KEY
        self.bus = mbus_meter.Bus(device, folder / "bus", self.clock)
        self.input = Input(device=str(folder / "bus"), interface="mbus", baud=2400, every_s=60, **settings)
        installation = Installation(lambda: self.key, self.passed.append)
        self.decoding = Decoding({0: "mbus"}, lambda _, reading: self.readings.append(reading), {0: installation})

    async def run(self, seconds: float) -> None:
        with self.bus:
            task = asyncio.create_task(read_inputs([self.input], self.clock, self.decoding.feed))
            await self.wait(seconds)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def wait(self, seconds: float) -> None:
        await self.carried.wait(seconds, self.clock, self.bus)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    carried = Carried(monkeypatch)
    return lambda device, **settings: Asked(tmp_path, carried, device, **settings)


@pytest.mark.parametrize("mode", [5, 7])
async def test_a_meter_that_encrypts_is_asked_and_opened(asked, mode):
    station = asked(meter(mode=mode))
    await station.run(70)
    assert len(station.readings) == 2
    for reading in station.readings:
        assert {obis: str(entry.value) for obis, entry in reading.registers.items()} == {
            "1-0:1.8.0*255": "12345678",
            "1-0:2.8.0*255": "5",
            "1-0:16.7.0*255": "-1500",
        }
        assert reading.meter_id == ID
        assert reading.server_id == ID.lmn_server_id(wired=True)


@pytest.mark.parametrize("address", ["1", "254", "12345678A8150002", "FFFFFFFFFFFFFFFF", "1234FFFFA815FFFF"])
async def test_a_meter_is_found_under_each_of_its_addresses(asked, address):
    station = asked(meter(), address=address)
    await station.run(5)
    assert len(station.readings) == 1


async def test_another_address_is_asked_three_times_and_gives_nothing(asked):
    station = asked(meter(), address="7")
    await station.run(20)
    assert station.readings == []
    assert station.bus.requests == [short(0x40, 7)] * 3


async def test_a_meter_that_was_unplugged_is_read_again_when_it_is_back(asked):
    station = asked(meter())
    station.bus.connected = False
    with station.bus:
        task = asyncio.create_task(read_inputs([station.input], station.clock, station.decoding.feed))
        await station.wait(30)
        assert station.readings == []
        station.bus.connected = True
        await station.wait(60)
        assert len(station.readings) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_silent_meter_does_not_answer_again_because_the_line_ends(asked, caplog):
    caplog.set_level("INFO")
    station = asked(meter())
    station.bus.connected = False
    with station.bus:
        task = asyncio.create_task(read_inputs([station.input], station.clock, station.decoding.feed))
        await station.wait(61.2)  # the second time it waits for the answer to its last repetition
        assert len(station.bus.requests) == 6
    for _ in range(10):
        await asyncio.sleep(0.001)
    await station.clock.advance(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "does not answer" in caplog.text
    assert "answers again" not in caplog.text


async def test_a_key_that_comes_later_opens_what_was_passed_through(asked):
    station = asked(meter())
    station.key = None
    with station.bus:
        task = asyncio.create_task(read_inputs([station.input], station.clock, station.decoding.feed))
        await station.wait(5)
        assert [(one.port, one.reason) for one in station.passed] == [(19, "no_meter_key")]
        station.key = KEY
        await station.wait(60)
        assert len(station.readings) == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_a_wrong_key_opens_nothing_and_passes_everything_through():
    passed = []
    for mode in (5, 7):
        decoder = MbusMeter(Installation(lambda: OTHER, passed.append))
        device = meter(mode=mode)
        frame = said(device)
        assert decoder.feed(frame) == []
        assert decoder.refused == {"wrong_meter_key": 1}
        assert passed[-1].payload == decode_long(frame).upper
        assert passed[-1].port == 19


def test_what_the_meter_protects_in_an_unknown_way_goes_on_port_18():
    passed = []
    decoder = MbusMeter(Installation(lambda: KEY, passed.append))
    header = bytes.fromhex("72 78563412 a815 00 02 01 00 00 0d")  # security mode 13
    assert decoder.feed(LongFrame(0x08, 1, header + bytes(16)).encode()) == []
    assert [(one.port, one.reason) for one in passed] == [(18, "unsupported")]


def test_replays_and_weaker_telegrams_are_refused():
    decoder = MbusMeter(Installation(lambda: KEY))
    device = meter()
    first, second = said(device), said(device)
    assert len(decoder.feed(first + second)) == 2
    assert decoder.feed(second) == []  # the meter was asked twice
    assert decoder.feed(first) == []
    weaker = seal_5(device.records(0), Address.of_meter(ID), KEY, access=9, long=True)
    assert decoder.feed(LongFrame(0x08, 1, weaker).encode()) == []
    assert decoder.feed(said(meter(key=None))) == []
    assert decoder.refused == {"repeated": 1, "replay": 1, "unprotected": 2}


def test_a_meter_that_does_not_encrypt_is_read_without_a_key():
    [reading] = MbusMeter().feed(said(meter(key=None)))
    assert str(reading.registers["1-0:1.8.0*255"].value) == "12345678"


def test_frames_are_found_between_garbage_echoes_and_damage():
    device = meter()
    good, damaged, late = said(device), bytearray(said(device)), said(device)
    damaged[20] ^= 1
    decoder = MbusMeter(Installation(lambda: KEY))
    stream = b"\x68\x68\xe5" + short(0x5B, 1) + good + bytes(damaged) + b"\x10\x68\x09\x09\x68" + bytes(15) + late
    assert len([one for octet in stream for one in decoder.feed(bytes((octet,)))]) == 2
    assert decoder.refused["checksum"] == 1


def test_a_frame_that_was_cut_is_counted():
    scanner = FrameScanner()
    scanner.feed(said(meter())[:30])
    scanner.reset()
    assert scanner.refused == {"cut": 1}


@pytest.mark.parametrize("text", ["251", "255", "-1", "1.5", "", "12345678A815000", "12345678A81500020", "Ⅷ"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(FormatError, match="no M-Bus address"):
        Station.parse(text)


async def test_pymeterbus_reads_our_meter_as_master(tmp_path):
    """A foreign master and decoder (pyMeterBus 0.8.5) at our simulated slave, which does not encrypt here."""
    meterbus = pytest.importorskip("meterbus", reason="pyMeterBus is not installed")
    serial = pytest.importorskip("serial")

    def ask(device: str) -> Any:
        with serial.Serial(device, 2400, timeout=20) as line:
            meterbus.send_ping_frame(line, 1)
            assert isinstance(meterbus.load(meterbus.recv_frame(line, 1)), meterbus.TelegramACK)
            meterbus.send_request_frame(line, 1)
            frame = meterbus.recv_frame(line, 1)  # and then as many octets as its head announces
            return json.loads(meterbus.load(frame).to_JSON())

    bus = mbus_meter.Bus(meter(key=None), tmp_path / "bus", ManualClock())
    with bus:
        found = await asyncio.to_thread(ask, str(tmp_path / "bus"))
    assert found["body"]["header"]["manufacturer"] == "EMH"
    values = [Decimal(record["value"]) for record in found["body"]["records"]]
    assert values == [12_345_678, 5, -1500]


def test_the_interface_is_registered():
    assert INTERFACES["mbus"] is MbusMeter
