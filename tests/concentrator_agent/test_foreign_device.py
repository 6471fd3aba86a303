"""A foreign class A device (pamoja-gateway 0.2.0, an independent LoRaWAN 1.0.4 stack) against the running server.

Known gaps of the judge, which these tests go around: it acts on the MAC commands of a downlink without telling which,
so a request of ours shows in its next uplink only; it repeats a frame only when NbTrans is above 1, so the test repeats
it; it takes SNR as an integer; it knows no 1.0.2; it is reached by the private name `pamoja._native`, hence the exact
pin. It holds itself to the region's duty cycle, so its clock is moved on by minutes between uplinks.
"""

import base64
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from concentrator_agent.app import ConcentratorApp
from concentrator_agent.config import Config
from concentrator_agent.server.dedupe import Uplink
from meterwire import messages
from meterwire.lorawan.gpstime import gps_seconds
from meterwire.lorawan.region import EU868
from tests.concentrator_agent.field import NOW, Gateway, config_for, entry, eventually, identifier, running
from tests.concentrator_agent.lab import JOIN_EUI, Mote

pamoja = pytest.importorskip("pamoja._native", reason="pamoja-gateway is not installed (extra dev)")
MINUTES = 5 * 60 * 1_000_000
PATIENCE_S = 10.0


class ForeignDevice:
    """The judge's device with a gateway between it and an agent somewhere."""

    def __init__(self, gateway: Gateway, mote: Mote) -> None:
        self.gateway = gateway
        self.now_us = 0
        self.device = pamoja.LorawanEndDevice.over_the_air(
            pamoja.ChannelPlan.for_region("eu868"),
            pamoja.LorawanDevice(bytes.fromhex(mote.dev_eui), bytes.fromhex(JOIN_EUI), mote.key),
            pamoja.LorawanDeviceSettings(0, 14, adr=False),
        )

    async def join(self, nonce: int) -> Any:
        return await self._exchange(self.device.join(nonce, self._later()))

    async def send(self, payload: bytes, confirmed: bool = False, port: int = 40) -> Any:
        """The delivery in a window, None when both stay empty."""
        return await self._exchange(self.device.send(port, payload, self._later(), confirmed))

    async def _exchange(self, transmission: Any) -> Any:
        rate = EU868.data_rate(transmission.data_rate)
        await self._push(transmission.frame, freq=transmission.frequency_hz / 1e6, datr=rate.datr)
        try:
            packet = await self.gateway.downlink(self._patience())
        except TimeoutError:
            self.device.nothing_heard(self._later())
            return None
        window = self._window(transmission, packet)
        return self.device.heard(base64.b64decode(packet["data"]), 8, window)

    async def _push(self, frame: bytes, **changes: Any) -> None:
        await self.gateway.push(frame, **changes)

    def _patience(self) -> float:
        """Seconds in which an answer comes, if there is one: a busy machine takes its time."""
        return PATIENCE_S

    def _window(self, transmission: Any, packet: dict[str, Any]) -> str:
        """The window that the packet hits by time, frequency and data rate; it must hit one exactly."""
        delay = (packet["tmst"] - self.gateway.tmst) % 2**32
        for name, window in (("rx1", transmission.rx1), ("rx2", transmission.rx2)):
            if delay == window.delay_us:
                assert round(packet["freq"] * 1e6) == window.frequency_hz
                assert packet["datr"] == EU868.data_rate(window.data_rate).datr
                assert packet["ipol"] is True
                return name
        raise AssertionError(f"no window opens {delay} us after the uplink")

    def _later(self) -> int:
        self.now_us += MINUTES
        return self.now_us


class NearDevice(ForeignDevice):
    """One that sees when the agent has done with its uplink, and so knows at once that no answer comes."""

    def __init__(self, app: ConcentratorApp, gateway: Gateway, mote: Mote) -> None:
        super().__init__(gateway, mote)
        self.app = app
        self._processed = 0
        self._count_uplinks()

    async def _push(self, frame: bytes, **changes: Any) -> None:
        before = self._handled
        await super()._push(frame, **changes)
        await eventually(lambda: self._handled > before)
        await self.app.downlink.drain()

    def _patience(self) -> float:
        return 0.0 if self.gateway.downlinks.empty() else PATIENCE_S

    @property
    def _handled(self) -> int:
        """Uplinks that the server has done with, but for its answer; late copies are passed over at once."""
        return self._processed + self.app.dedupe.late

    def _count_uplinks(self) -> None:
        process = self.app.uplink.process

        async def counted(uplinks: Sequence[Uplink]) -> None:
            await process(uplinks)
            self._processed += len(uplinks)

        self.app.uplink.process = counted  # type: ignore[method-assign]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_for(tmp_path)


@pytest.fixture
async def app(config: Config) -> AsyncIterator[ConcentratorApp]:
    async with running(config) as app:
        yield app


@pytest.fixture
async def foreign(app: ConcentratorApp) -> AsyncIterator[NearDevice]:
    mote = Mote()
    command = messages.DevicesCommand(identifier(), NOW, 1, upsert=(entry(mote, bytes.fromhex(app.public_key)),))
    assert (await app.table.take(command)).refused == ()
    gateway = await Gateway().open(app.udp_port)
    yield NearDevice(app, gateway, mote)
    gateway.transport.close()


def telegrams(app: ConcentratorApp) -> list[messages.Telegram]:
    decoder = msgspec.json.Decoder(messages.Telegram)
    return [decoder.decode(one.body) for one in app.outbox.after(0, 100) if one.kind == "telegram"]


async def test_it_joins_and_takes_over_the_channels_of_the_cflist(foreign: NearDevice) -> None:
    heard = await foreign.join(1)
    assert heard.kind == "joined"
    assert foreign.device.is_joined
    frequencies = sorted(channel.uplink_hz for channel in foreign.device.channels())
    wanted = sorted(channel.frequency_hz for channel in EU868.default_channels + EU868.extra_channels)
    assert frequencies == wanted
    assert foreign.device.rx2 == (869_525_000, 3)
    assert foreign.device.receive_delay_us == 1_000_000


async def test_a_replayed_join_is_not_answered(foreign: NearDevice) -> None:
    await foreign.join(1)
    assert await foreign.join(1) is None
    await foreign.app.clock.sleep(1.0)  # then it is no late copy of the first any more
    assert await foreign.join(1) is None
    assert foreign.app.uplink.counts["join_nonce_used"] == 1
    assert (await foreign.join(2)).kind == "joined"


async def test_its_uplinks_are_stored_and_confirmed_ones_acknowledged(
    app: ConcentratorApp, foreign: NearDevice
) -> None:
    await foreign.join(1)
    for number in range(4):
        heard = await foreign.send(b"reading %d" % number, confirmed=number % 2 == 1)
        if number % 2:
            assert heard.delivery.acknowledged
    assert [telegram.payload for telegram in telegrams(app)] == [b"reading %d" % number for number in range(4)]
    assert [telegram.fcnt for telegram in telegrams(app)] == [0, 1, 2, 3]


async def test_it_gets_the_time_and_its_link_margin(app: ConcentratorApp, foreign: NearDevice) -> None:
    await foreign.join(1)
    foreign.device.request_device_time()
    foreign.device.request_link_check()
    before = gps_seconds(app.clock.time())
    heard = await foreign.send(b"x")
    seconds, fraction = heard.delivery.device_time
    assert before - 0.1 <= seconds + fraction / 256 <= gps_seconds(app.clock.time())
    margin, gateways = heard.delivery.link_check
    assert gateways == 1
    assert 17 <= margin <= 30  # 9.2 dB SNR above the floor of the spreading factor it chose


async def test_it_tells_its_status_when_asked(app: ConcentratorApp, foreign: NearDevice) -> None:
    await foreign.join(1)
    foreign.device.set_battery(200)
    await foreign.send(b"first")
    await foreign.send(b"second")
    device = app.sessions.device(Mote().dev_eui)
    assert device is not None
    assert device.active is not None
    assert (device.active.mac.battery, device.active.mac.margin) == (200, 8)


async def test_it_receives_and_acknowledges_a_confirmed_downlink(app: ConcentratorApp, foreign: NearDevice) -> None:
    await foreign.join(1)
    command = messages.DownlinkCommand(
        identifier(), NOW, Mote().dev_eui, 33, b"set", "2099-01-01T00:00:00.000Z", confirmed=True
    )
    assert (await app.queue.take(command, known=True)).code is None
    heard = await foreign.send(b"anything for me?")
    assert (heard.delivery.port, heard.delivery.payload, heard.delivery.confirmed) == (33, b"set", True)
    await foreign.send(b"thanks")
    await eventually(lambda: len(app.queue) == 0)
    events = [messages.decode_event(one.body) for one in app.outbox.after(0, 100) if one.kind == "event"]
    assert [event.reason for event in events if event.kind == "downlink"] == ["sent", "acknowledged"]


async def test_it_is_moved_to_other_receive_parameters(config: Config, tmp_path: Path) -> None:
    changed = config.replace("region", rx_delay_s=5, rx1_dr_offset=2, rx2_dr=3)
    async with running(changed) as app:
        mote = Mote()
        command = messages.DevicesCommand(identifier(), NOW, 1, upsert=(entry(mote, bytes.fromhex(app.public_key)),))
        await app.table.take(command)
        foreign = NearDevice(app, await Gateway().open(app.udp_port), mote)
        await foreign.join(1)
        assert foreign.device.receive_delay_us == 5_000_000
        assert foreign.device.rx2 == (869_525_000, 3)
        assert (await foreign.send(b"x", confirmed=True)).delivery.acknowledged
        foreign.gateway.transport.close()


async def test_a_frame_it_repeats_is_acknowledged_again_and_stored_once(
    app: ConcentratorApp, foreign: NearDevice
) -> None:
    await foreign.join(1)
    transmission = foreign.device.send(40, b"once", foreign._later(), True)
    await foreign.gateway.push(transmission.frame)
    await foreign.gateway.downlink()  # lost on the way
    await app.clock.sleep(1.0)  # a device waits one to three seconds before it repeats itself
    heard = await foreign._exchange(transmission)
    assert heard.delivery.acknowledged
    assert [telegram.payload for telegram in telegrams(app)] == [b"once"]
