"""The beacon is handed to a gateway for its moment, and only while the clock is worth it."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from concentrator_agent.config import BeaconSettings
from concentrator_agent.server.beacon import BeaconSender
from concentrator_agent.server.clock import ReceptionClock
from concentrator_agent.server.timekeeping import Timekeeper
from edge.clock import ManualClock
from edge.timesync import HostClock
from meterwire.beacon import Beacon
from meterwire.clock_package import ClockQuality
from meterwire.lorawan.gpstime import gps_seconds
from meterwire.time_entries import BeaconEntry, PlanEntry
from tests.concentrator_agent.lab import GATEWAY_A, GATEWAY_B, Lab

SETTINGS = BeaconSettings(period_s=300, phase_ms=1500)
T = 1_767_225_600.0


@pytest.fixture
def sender(lab: Lab, clock: ManualClock) -> BeaconSender:
    return make(lab, clock)


def make(
    lab: Lab,
    clock: ManualClock,
    gateways: Callable[[], list[str]] = lambda: [GATEWAY_B, GATEWAY_A],
    settings: Callable[[], BeaconSettings | None] = lambda: SETTINGS,
) -> BeaconSender:
    reception_clock = ReceptionClock(clock, lambda: "ntp")
    for gateway, counter in ((GATEWAY_A, 5_000_000), (GATEWAY_B, 4_000_000_000)):
        reception_clock.stamp(gateway, counter, clock.time(), None)
    return BeaconSender(
        settings,
        "0011223344556677",
        clock=clock,
        keeper=lab.keeper,
        reception_clock=reception_clock,
        downlink=lab.downlink,
        gateways=gateways,
    )


async def test_it_is_on_the_air_at_its_phase(lab: Lab, clock: ManualClock, sender: BeaconSender) -> None:
    assert sender.next_at() == T + 1.5
    assert await sender.send(T + 1.5) == "sent"
    (sent,) = lab.radio.sent
    assert (sent.gateway, sent.freq, sent.dr) == (GATEWAY_A, 869_525_000, 3)
    assert sent.tmst == 5_000_000 + 1_500_000
    told = Beacon.decode(sent.phy)
    assert told == Beacon(bytes.fromhex("44556677"), round(gps_seconds(T + 1.5) * 1000), 2, ClockQuality.NTP)


async def test_one_after_the_other_each_period(lab: Lab, clock: ManualClock, sender: BeaconSender) -> None:
    task = asyncio.ensure_future(sender.run())
    await clock.advance(900)
    task.cancel()
    counters = [sent.tmst for sent in lab.radio.sent]
    assert [after - before for before, after in pairwise(counters)] == [300_000_000] * 2


async def test_none_while_the_clock_is_in_doubt(lab: Lab, clock: ManualClock, sender: BeaconSender) -> None:
    clock.jump(3600)
    lab.keeper.look()
    assert await sender.send(sender.next_at() or 0.0) == "clock"
    assert lab.radio.sent == []


async def test_a_clock_that_was_never_set_ends_no_beacons(lab: Lab) -> None:
    """A board without a battery begins in 1970; the plan of time is in its store."""
    clock = ManualClock(40.0)
    lab.keeper = Timekeeper(clock, "auto", lambda: HostClock(False))
    sender = make(lab, clock)
    assert await sender.send(sender.next_at() or 0.0) == "clock"
    assert lab.radio.sent == []


async def test_none_over_the_duty_cycle(lab: Lab, clock: ManualClock) -> None:
    sender = make(lab, clock, lambda: [GATEWAY_A])
    outcomes = {await sender.send(T + 2 + number / 20) for number in range(3000)}
    assert outcomes == {"sent", "duty_cycle"}
    assert lab.downlink.used_s(GATEWAY_A, 869_525_000) <= 360.0


async def test_another_gateway_takes_over_when_the_first_refuses(
    lab: Lab, clock: ManualClock, sender: BeaconSender
) -> None:
    lab.radio.refusals = ["collision_packet"]
    assert await sender.send(T + 1.5) == "sent"
    assert lab.radio.sent[0].gateway == GATEWAY_B


async def test_none_through_a_gateway_that_was_never_heard(lab: Lab, clock: ManualClock) -> None:
    assert await make(lab, clock, lambda: ["bb" * 8]).send(T + 1.5) == "no_gateway"


async def test_it_follows_the_plan_when_that_changes_and_when_it_ends(lab: Lab, clock: ManualClock) -> None:
    sender = make(lab, clock, settings=lambda: lab.slots.plan.beacon)
    assert sender.next_at() is None
    assert await sender.send(T + 60) == "none"
    task = asyncio.ensure_future(sender.run())
    await clock.advance(120)
    assert lab.radio.sent == []
    await lab.devices(plan=PlanEntry(BeaconEntry(869_525_000, 5, 60, 2500)))
    await clock.advance(180)
    assert [(sent.tmst - 5_000_000) / 1e6 for sent in lab.radio.sent] == [182.5, 242.5], "within seconds"
    assert {sent.dr for sent in lab.radio.sent} == {5}
    await lab.devices(plan=PlanEntry(BeaconEntry(869_525_000, 4, 300, 0)))
    await clock.advance(400)
    assert [(sent.tmst - 5_000_000) / 1e6 for sent in lab.radio.sent[2:]] == [600.0]
    await lab.devices(plan=PlanEntry())
    await clock.advance(900)
    assert len(lab.radio.sent) == 3
    task.cancel()
