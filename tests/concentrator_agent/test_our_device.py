"""Our end-device MAC over our simulated air and packet forwarder against our own server, in virtual time."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec
import pytest

from adapter_agent.radio.mac import EndDevice
from adapter_agent.radio.settings import Identity, MacSettings
from adapter_agent.radio.state import RadioStore
from adapter_agent.simulation.air import Air
from adapter_agent.simulation.forwarder import Forwarder
from adapter_agent.simulation.gateway import GatewayRadio
from concentrator_agent.app import ConcentratorApp
from meterwire import messages
from meterwire.ids import DevEUI, JoinEUI
from meterwire.lorawan.region import EU868
from tests.adapter_agent.radio.network import Events, Memory
from tests.concentrator_agent.field import GATEWAY, NOW, config_for, entry, identifier
from tests.concentrator_agent.lab import JOIN_EUI, Mote
from tests.support.virtual_loop import VirtualClock, in_virtual_time


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@in_virtual_time
async def test_it_joins_gets_the_time_and_is_acknowledged(tmp_path: Path) -> None:
    clock = VirtualClock.here()
    mote = Mote()
    app = ConcentratorApp(config_for(tmp_path), clock, notify=lambda message: None)
    running = [asyncio.ensure_future(app.run())]
    await app.ready.wait()
    await app.table.take(
        messages.DevicesCommand(identifier(), NOW, 1, upsert=(entry(mote, bytes.fromhex(app.public_key)),))
    )
    air = Air(clock, default_loss_db=110.0)
    forwarder = Forwarder(air.add(GatewayRadio(GATEWAY, clock)), ("127.0.0.1", app.udp_port))
    dev_eui = DevEUI.parse(mote.dev_eui)
    events = Events()
    device = EndDevice(
        Identity(dev_eui, JoinEUI.parse(JOIN_EUI), mote.root),
        MacSettings(EU868),
        air.phy(dev_eui),
        store=RadioStore(Memory(), EU868),
        clock=clock,
        events=events,
        random=Random(3),
    )
    running += [asyncio.ensure_future(forwarder.run()), asyncio.ensure_future(device.run())]
    try:
        await until(lambda: GATEWAY in app.forwarders.known)
        await asyncio.wait_for(device.ready(12), 20)
        device.want_time()
        sent = await asyncio.wait_for(device.send(16, b"reading", confirmed=True), 20)
        assert sent.acknowledged
        check = await asyncio.wait_for(device.link_check(), 20)
        assert check is not None
        assert check.gateways == 1
        (telegram,) = [
            msgspec.json.decode(one.body, type=messages.Telegram)
            for one in app.outbox.after(0, 100)
            if one.kind == "telegram"
        ]
        assert telegram.payload == b"reading"
        received = messages.parse_timestamp(telegram.received_at).timestamp()
        assert received == pytest.approx(sent.end, abs=0.05)
        assert telegram.time_quality == "gps"
        ((told, monotonic),) = events.times
        assert told - (clock.time() - clock.monotonic() + monotonic) == pytest.approx(0, abs=0.05)
        assert device.link.rx_delay_s == 1
    finally:
        for task in running[1:]:
            task.cancel()
        await asyncio.gather(*running[1:], return_exceptions=True)
        await air.close()
        app.stop()
        await running[0]
