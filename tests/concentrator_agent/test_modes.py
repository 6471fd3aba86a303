"""The interface gate: the table of design section 8, and doors that let nothing through when closed."""

import asyncio

import pytest

from concentrator_agent.modes import Gate, GateSettings, Interface, InterfaceClosed, Mode, Side
from edge.clock import ManualClock

RADIO, LMN, MBUS, HAN, LAN, MOBILE = Interface
ALL = set(Interface)


def open_now(gate: Gate) -> set[Interface]:
    return {interface for interface in Interface if gate.is_open(interface)}


@pytest.mark.parametrize(
    "settings, side, expected",
    [
        (GateSettings(Mode.STAND_ALONE), Side.BOTH, {RADIO, LAN, MOBILE}),
        (GateSettings(Mode.STAND_ALONE, exclusive=True), Side.BOTH, {RADIO, LAN, MOBILE}),
        (GateSettings(Mode.SMGW), Side.BOTH, ALL),
        (GateSettings(Mode.SMGW, off=(LMN,)), Side.BOTH, ALL - {LMN}),
        (GateSettings(Mode.SMGW, exclusive=True), Side.LOCAL, {RADIO, LMN, MBUS, HAN}),
        (GateSettings(Mode.SMGW, exclusive=True), Side.THIRD, {RADIO, HAN, LAN, MOBILE}),
        (GateSettings(Mode.SMGW, exclusive=True, han_outside=True), Side.LOCAL, {RADIO, LMN, MBUS}),
        (GateSettings(Mode.SMGW, exclusive=True, han_outside=True), Side.THIRD, {RADIO, HAN, LAN, MOBILE}),
        (GateSettings(Mode.SMGW, exclusive=True, off=(MOBILE,)), Side.THIRD, {RADIO, HAN, LAN}),
    ],
)
def test_what_is_open_when(settings: GateSettings, side: Side, expected: set[Interface]) -> None:
    gate = Gate(settings)
    if side is Side.THIRD:
        gate.turn(Side.THIRD)
    assert gate.side is side
    assert open_now(gate) == expected


def test_a_door_lets_through_only_while_its_interface_is_open() -> None:
    gate = Gate(GateSettings(Mode.SMGW, exclusive=True))
    sent: list[str] = []
    lan, lmn = gate.door(LAN, sent.append), gate.door(LMN, sent.append)
    lmn("to the meter gateway")
    with pytest.raises(InterfaceClosed) as caught:
        lan("to the portal")
    assert caught.value.temporary
    gate.turn(Side.THIRD)
    lan("to the portal")
    with pytest.raises(InterfaceClosed):
        lmn("to the meter gateway")
    assert sent == ["to the meter gateway", "to the portal"]


def test_local_and_third_interface_are_never_open_together_when_exclusive() -> None:
    gate = Gate(GateSettings(Mode.SMGW, exclusive=True, han_outside=True))
    for _ in range(4):
        now = open_now(gate)
        assert not (now & {LMN, MBUS} and now & {HAN, LAN, MOBILE})
        gate.turn(Side.THIRD if gate.side is Side.LOCAL else Side.LOCAL)


def test_only_an_exclusive_gate_takes_turns() -> None:
    for settings in (GateSettings(), GateSettings(Mode.SMGW), GateSettings(Mode.STAND_ALONE, exclusive=True)):
        with pytest.raises(ValueError):
            Gate(settings).turn(Side.THIRD)


async def test_the_schedule_alternates_and_waiters_notice(clock: ManualClock) -> None:
    gate = Gate(GateSettings(Mode.SMGW, exclusive=True, local_s=100, third_s=20))
    running = asyncio.ensure_future(gate.run(clock))
    opened = asyncio.ensure_future(gate.until(LAN, True))
    await clock.advance(99)
    assert gate.side is Side.LOCAL
    assert not opened.done()
    await clock.advance(1)
    assert gate.side is Side.THIRD
    assert opened.done()
    await clock.advance(20)
    assert gate.side is Side.LOCAL
    running.cancel()


async def test_a_gate_without_turns_has_nothing_to_run(clock: ManualClock) -> None:
    await asyncio.wait_for(Gate(GateSettings(Mode.SMGW)).run(clock), 1)
