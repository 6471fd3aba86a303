"""What the agent notices by itself: clocks that jump, silent gateways, an outbox that ran over, a closed way out."""

import asyncio
import base64
import contextlib
import gc
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from concentrator_agent import store
from concentrator_agent.app import ConcentratorApp
from concentrator_agent.clock_watch import ClockWatch
from concentrator_agent.modes import Side
from concentrator_agent.radio.forwarders import MAX_GATEWAYS, ONLINE_WITHIN_S
from edge.clock import ManualClock
from edge.outbox import Entry
from edge.timesync import HostClock
from meterwire import messages
from meterwire.lorawan.frame import MAX_PHY
from tests.concentrator_agent.field import (
    DEADLINE_S,
    EUI,
    GATEWAY,
    Gateway,
    Portal,
    config_for,
    eventually,
    join,
    running,
)
from tests.concentrator_agent.lab import Mote
from tests.support.mosquitto import mosquitto

ADDRESS = ("127.0.0.1", 9)


@pytest.fixture(scope="module", autouse=True)
def without_what_pytest_holds() -> Iterator[None]:
    """Every ten seconds of its time the agent looks for garbage: in what is its own."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
async def app(tmp_path: Path, clock: ManualClock) -> AsyncIterator[ConcentratorApp]:
    """An agent whose time stands still until the test moves it."""
    app = ConcentratorApp(config_for(tmp_path).replace("outbox", max_bytes=100_000), clock, notify=lambda message: None)
    task = asyncio.ensure_future(app.run())
    await app.ready.wait()
    yield app
    app.stop()
    await clock.advance(1)
    await task


async def reported(app: ConcentratorApp, clock: ManualClock, kind: str) -> messages.Event:
    """The first event of that kind; time goes on until it is stored."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            for stored in app.outbox.after(0, 1000):
                if stored.kind == "event" and (event := messages.decode_event(stored.body)).kind == kind:
                    return event
            await clock.advance(1.0)
            await asyncio.sleep(0.005)


async def passing(clock: ManualClock, seconds: float) -> None:
    """Let time pass in steps, with a moment of real time in each for the store's own thread."""
    for _ in range(round(seconds)):
        await clock.advance(1.0)
        await asyncio.sleep(0.002)


async def falling_silent(app: ConcentratorApp, clock: ManualClock) -> None:
    await passing(clock, ONLINE_WITHIN_S + 2)
    async with asyncio.timeout(DEADLINE_S):
        while app.forwarders.gateways_online():  # housekeeping may still be at its durable commit
            await passing(clock, 1)


async def test_a_jump_of_the_clock_is_reported_with_its_size(app: ConcentratorApp, clock: ManualClock) -> None:
    await clock.advance(2)
    clock.jump(-3600)
    event = await reported(app, clock, "clock")
    assert (event.reason, event.detail["offset_ms"]) == ("jump", -3_600_000.0)


async def test_a_leap_second_is_remembered(
    app: ConcentratorApp, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.time, "_ask", lambda: HostClock(True, leap=True))
    app.time.refresh()
    await clock.advance(2)
    clock.jump(-1)
    assert (await reported(app, clock, "clock")).reason == "leap_second"
    await passing(clock, 11)
    await eventually(lambda: store.setting(app.database.read, "leaps") == b"[1767225600.0]")


async def test_after_a_restart_what_was_measured_before_a_jump_is_still_told_apart(
    app: ConcentratorApp, clock: ManualClock
) -> None:
    await clock.advance(2)
    for _ in range(2):
        clock.jump(60)
        await passing(clock, 2)
    await passing(clock, 11)
    await eventually(lambda: store.setting(app.database.read, "clock_epoch") == b"2")
    watch = ClockWatch(
        clock, app.config, gate=app.gate, database=app.database, events=app.events, note=lambda entry: None
    )
    assert watch.keeper.epoch == 2


async def test_uplinks_go_on_whatever_the_clock_does(app: ConcentratorApp, clock: ManualClock) -> None:
    for number, jump in enumerate((0, 7200, -90_000, 10**8)):
        clock.jump(jump)
        app.forwarders.take(pull(), ADDRESS)
        app.forwarders.take(push(bytes([0x40, number]) + bytes(15)), ADDRESS)
        await clock.advance(0.3)
    await eventually(lambda: app.uplink.counts["stranger"] == 4)


async def test_a_gateway_that_falls_silent_is_reported(app: ConcentratorApp, clock: ManualClock) -> None:
    app.forwarders.take(pull(), ADDRESS)
    assert app.forwarders.gateways_online() == 1
    event = await reported(app, clock, "gateway")
    assert (event.reason, event.detail["gw"]) == ("online", GATEWAY)
    await falling_silent(app, clock)
    assert app.forwarders.gateways_online() == 0


async def test_the_table_of_gateways_does_not_grow_without_bound(app: ConcentratorApp, clock: ManualClock) -> None:
    for number in range(MAX_GATEWAYS + 10):
        app.forwarders.take(pull(f"{number:016x}"), ADDRESS)
    assert len(app.forwarders.known) == MAX_GATEWAYS
    assert app.forwarders.counts["foreign_gateway"] == 10
    await falling_silent(app, clock)
    app.forwarders.take(pull("f" * 16), ADDRESS)
    assert "f" * 16 in app.forwarders.known
    assert len(app.forwarders.known) == MAX_GATEWAYS


async def test_what_the_outbox_had_to_drop_is_reported(app: ConcentratorApp, clock: ManualClock) -> None:
    await app.outbox.put([Entry(f"{number:026d}", "telegram", clock.time(), b"x" * 10_000) for number in range(15)])
    event = await reported(app, clock, "outbox_dropped")
    assert event.detail["count"] == 6
    assert event.detail["oldest"] == "2026-01-01T00:00:00.000Z"


async def test_the_longest_frame_and_the_shortest_pass_the_front_end(app: ConcentratorApp, clock: ManualClock) -> None:
    for size in (1, 11, MAX_PHY):
        app.forwarders.take(push(bytes([0x40]) * size), ADDRESS)
    await clock.advance(0.3)
    await eventually(lambda: sum(app.uplink.counts.values()) == 3)
    assert app.uplink.counts["error"] == 0


async def test_while_the_way_out_is_closed_everything_waits_and_nothing_is_lost(tmp_path: Path) -> None:
    broker = mosquitto({EUI: "c-secret", "portal": "p-secret"}, {"portal": ["topic readwrite mspan/#"]})
    config = config_for(tmp_path, broker).replace("concentrator", mode="smgw", exclusive=True)
    portal = Portal(broker.port)
    try:
        await portal.link.wait_connected()
        async with running(config) as app:
            assert app.backhaul is not None
            assert app.gate.side is Side.LOCAL
            assert not app.backhaul.connected
            app.gate.turn(Side.THIRD)
            mote = Mote()
            await portal.devices(mote)
            gateway = await Gateway().open(app.udp_port)
            await join(gateway, mote)
            app.gate.turn(Side.LOCAL)
            await eventually(lambda: not app.backhaul.connected)
            for number in range(5):
                await gateway.push(mote.frame(b"%d" % number, confirmed=True))
                await gateway.downlink()
            await asyncio.sleep(0.4)
            assert portal.telegrams == []
            app.gate.turn(Side.THIRD)
            await eventually(lambda: len(portal.telegrams) >= 5)
            gateway.transport.close()
        assert [telegram.payload for telegram in portal.telegrams[:5]] == [b"%d" % number for number in range(5)]
    finally:
        with contextlib.suppress(TimeoutError):
            await portal.close()
        broker.stop()


def pull(eui: str = GATEWAY) -> bytes:
    return b"\x02\x00\x00\x02" + bytes.fromhex(eui)


def push(frame: bytes) -> bytes:
    packet = {"tmst": 1, "freq": 868.1, "datr": "SF7BW125", "data": base64.b64encode(frame).decode()}
    return b"\x02\x00\x00\x00" + bytes.fromhex(GATEWAY) + json.dumps({"rxpk": [packet]}).encode()
