"""Foreign judges: pamoja reads our forwarder's datagrams and our physics, and serves our device over our air."""

import asyncio
import contextlib
import socket
from random import Random
from typing import Any

import pytest

from adapter_agent.radio.mac import EndDevice
from adapter_agent.radio.settings import Identity, MacSettings
from adapter_agent.radio.state import RadioStore
from adapter_agent.simulation import gwmp
from adapter_agent.simulation.air import Air
from adapter_agent.simulation.forwarder import Forwarder
from adapter_agent.simulation.gateway import GatewayRadio
from adapter_agent.simulation.physics import REQUIRED_SNR_DB, noise_floor_dbm, symbol_s
from edge.clock import ManualClock
from meterwire.lorawan.airtime import lora_airtime_s
from meterwire.lorawan.region import EU868
from tests.adapter_agent.radio.network import DEV_EUI, JOIN_EUI, ROOT, Events, Memory
from tests.simulation.driving import until
from tests.simulation.test_gwmp import EUI, RECEPTION

pamoja = pytest.importorskip("pamoja.gateway", reason="pamoja-gateway is not installed (extra dev)")
lora = pytest.importorskip("pamoja.lora", reason="pamoja-gateway is not installed (extra dev)")

ROOT_KEY = bytes(range(16))


def test_pamoja_reads_our_push_data() -> None:
    statistics = gwmp.Statistics(1_389_257_928.0, 5, 4, 3, 66.7, 2, 1, 23.2, (46.24, 3.2523, 145))
    packet = pamoja.parse(gwmp.push_data(EUI, 0x0102, [RECEPTION], statistics, gps=True))
    assert (packet.kind, packet.token, packet.gateway) == ("PushData", 0x0102, str(EUI))
    (heard,) = packet.packets
    assert (heard.payload, heard.frequency_hz, heard.channel, heard.crc) == (RECEPTION.frame, 867_300_000, 4, "Ok")
    assert (heard.link.spreading_factor, heard.link.bandwidth_hz) == (12, 125_000)
    assert (heard.timestamp_us, heard.received_at_us) == (RECEPTION.tmst, round(RECEPTION.unix * 1e6))
    assert (heard.rssi_dbm, heard.snr_db) == (-118.0, pytest.approx(-9.2))
    status = packet.status
    assert (status.received, status.received_ok, status.forwarded, status.downlinks, status.transmitted) == (
        5,
        4,
        3,
        2,
        1,
    )
    assert status.time_s == 1_389_257_928


def test_pamoja_reads_our_polls_and_answers() -> None:
    assert pamoja.parse(gwmp.pull_data(EUI, 7)).kind == "PullData"
    for error in ("NONE", "TOO_LATE", "TOO_EARLY", "COLLISION_PACKET", "TX_FREQ", "GPS_UNLOCKED"):
        packet = pamoja.parse(gwmp.tx_ack(EUI, 9, error=error))
        assert (packet.kind, packet.token, packet.tx_status) == ("TxAck", 9, error)


def test_we_read_what_pamoja_asks_to_send() -> None:
    link = lora.LoraLink(9, 125_000)
    asked = pamoja.Txpk(
        868_300_000, b"payload", link=link, timestamp_us=4_000_000_000, invert_polarity=True, without_crc=True
    )
    answer = gwmp.pull_resp(pamoja.encode(pamoja.Packet("PullResp", 0xBEEF, transmit=asked)))
    assert answer is not None
    token, request = answer
    assert (token, request.frame, request.datr) == (0xBEEF, b"payload", "SF9BW125")
    assert (request.tmst, request.freq, request.powe) == (4_000_000_000, 868.3, 14)
    assert request.ipol
    assert request.ncrc


@pytest.mark.parametrize("sf", range(7, 13))
def test_pamoja_agrees_on_airtime_symbol_and_noise(sf: int) -> None:
    link = lora.LoraLink(sf, 125_000)
    for length in (12, 17, 29, 64, 255):
        assert lora_airtime_s(length, sf) * 1e6 == pytest.approx(link.airtime_us(length), abs=1)
    assert symbol_s(sf, 125_000) * 1e6 == pytest.approx(link.symbol_time_us(), abs=1)
    assert noise_floor_dbm(125_000, 0.0) == pytest.approx(lora.noise_floor_dbm(125_000), abs=0.1)
    assert REQUIRED_SNR_DB[sf] == pytest.approx(lora.demodulator_snr_db(sf))


class ForeignServer:
    """pamoja's network behind a UDP socket."""

    def __init__(self) -> None:
        self.network: Any = pamoja.Network(lora.plan_for("EU868"), 0x13)
        self.network.register(DEV_EUI.bytes, JOIN_EUI.bytes, ROOT_KEY)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.puller: tuple[str, int] | None = None
        self.events: list[Any] = []
        self.answers: list[str] = []
        asyncio.get_running_loop().add_reader(self.socket, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._take(*self.socket.recvfrom(65536))

    def _take(self, datagram: bytes, source: tuple[str, int]) -> None:
        packet = pamoja.parse(datagram)
        if packet.kind == "TxAck":
            self.answers.append(packet.tx_status)
            return
        self.socket.sendto(pamoja.encode(pamoja.acknowledgment(packet)), source)
        if packet.kind == "PullData":
            self.puller = source
        for heard in packet.packets or ():
            self._hear(heard)

    def _hear(self, heard: Any) -> None:
        event = self.network.uplink(heard)
        self.events.append(event)
        if event.outcome == "joined":
            self._send(event.accept)
        elif event.fport == 16:
            self._send(self.network.answer(event.dev_addr, event.slot, 17, b"back"))

    def _send(self, transmit: Any) -> None:
        datagram = pamoja.encode(pamoja.Packet("PullResp", len(self.events), transmit=transmit))
        assert self.puller is not None
        self.socket.sendto(datagram, self.puller)


async def test_our_device_joins_a_foreign_network_over_our_air_and_forwarder() -> None:
    clock = ManualClock()
    server = ForeignServer()
    air = Air(clock, default_loss_db=110.0)
    forwarder = Forwarder(air.add(GatewayRadio(str(EUI), clock)), server.socket.getsockname())
    events = Events()
    device = EndDevice(
        Identity(DEV_EUI, JOIN_EUI, ROOT),
        MacSettings(EU868),
        air.phy(DEV_EUI),
        store=RadioStore(Memory(), EU868),
        clock=clock,
        events=events,
        random=Random(3),
    )
    tasks = [asyncio.ensure_future(forwarder.run()), asyncio.ensure_future(device.run())]
    try:
        ready = asyncio.ensure_future(device.ready(12))
        await until(ready.done, clock)
        sending = asyncio.ensure_future(device.send(16, b"reading"))
        await until(sending.done, clock)
        assert server.events[0].outcome == "joined"
        assert server.events[-1].payload == b"reading"
        assert server.answers == ["NONE"] * 2
        assert air.account.heard == 2
        assert (events.joins, events.downlinks) == (1, [(17, b"back")])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await air.close()
        server.close()
