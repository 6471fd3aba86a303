"""A whole adapter with a slot and open time: what is not for the slot, and the answers to it, lie in open time."""

import pytest

from adapter_agent.sender import CONFIRM_WITHIN_S
from adapter_agent.simulation.crystal import Crystal, CrystalClock
from adapter_agent.telegrams import QUIET_FACTOR
from meterwire import clock_package
from meterwire.config_records import OpenTimeRecord, SlotRecord, SlotState
from meterwire.lorawan.airtime import airtime_s
from tests.adapter_agent.house import House
from tests.adapter_agent.test_slots import configuration, house_begin, in_slot, slot, values, window

OPEN = OpenTimeRecord(300, 292_500, 7_500)
SETTLED_S = 700.0


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path, more="[commissioning]\nminutes = 0")
    yield house
    house.close()


def into_open(unix_s: float) -> float:
    """Seconds since open time began last."""
    return (unix_s - OPEN.phase_ms / 1000) % OPEN.period_s


def settled(house, after_s: float = SETTLED_S) -> list:
    return [heard for heard in house.network.uplinks if heard.at - house_begin(house) > after_s]


def outside(house, given) -> list:
    return [heard for heard in settled(house) if not (heard.uplink.fport == 16 and window(heard, given).inside)]


def lies_open(heard) -> bool:
    """Frame and an answer of a second after it."""
    begin = heard.at - airtime_s(len(heard.frame), heard.dr)
    return into_open(begin) < into_open(heard.at + 1.1) <= OPEN.length_ms / 1000


@pytest.mark.parametrize("period_s", [60, 300])
async def test_what_is_not_for_the_slot_waits_for_open_time(house, period_s):
    given = slot(period_s=period_s, phase_ms=30_000)
    house.network.after_report = configuration(3, SlotRecord(given), OPEN)
    async with house.running() as app:
        await house.pass_time(SETTLED_S, every_s=10)
        for _ in range(8):
            app._parts.registration.renew()
            app._parts.sender.refused()  # a report is wanted, at any moment
            await house.pass_time(220, every_s=10)
        assert not app._parts.sender.keeper.missed
    others = outside(house, given)
    assert len([heard for heard in others if heard.uplink.fport == 33]) >= 5
    assert all(lies_open(heard) for heard in others)
    assert len({round(into_open(heard.at), 1) for heard in others}) > len(others) / 2, "at random moments"
    assert len(in_slot(house, given)) >= 1700 // period_s


async def test_telegrams_in_the_slot_ask_for_nothing_and_an_uplink_in_open_time_is_confirmed_instead(house):
    given = slot(period_s=60, phase_ms=30_000)
    house.network.after_report = configuration(3, SlotRecord(given), OPEN)
    async with house.running() as app:
        await house.pass_time(3 * 3600, every_s=10)
        most = QUIET_FACTOR * 3 + (CONFIRM_WITHIN_S + OPEN.period_s) / 60
        assert app._parts.sender._telegrams._since_confirmed <= most
    slotted = [heard for heard in in_slot(house, given) if heard in settled(house)]
    assert len(slotted) >= 160
    assert not any(heard.uplink.confirmed or heard.commands for heard in slotted)
    confirmations = [heard for heard in outside(house, given) if heard.uplink.confirmed and heard.uplink.fport is None]
    assert 2 <= len(confirmations) <= len(slotted) / (QUIET_FACTOR * 3)
    assert all(lies_open(heard) for heard in confirmations)


async def test_the_proof_of_which_meter_was_read_goes_in_open_time_until_it_has_arrived(house):
    given = slot(period_s=60, phase_ms=30_000)
    house.network.after_report = configuration(3, SlotRecord(given), OPEN)
    async with house.running() as app:
        await house.pass_time(SETTLED_S, every_s=10)
        app._parts.source.want_proof()
        app._parts.sender._proofs.restart(house.clock.monotonic())
        assert app._parts.source.proof_due
        await house.pass_time(630, every_s=10)  # a question about the time may come first
        assert not app._parts.source.proof_due
        assert not app._parts.sender.keeper.missed
    proving = [heard for heard in outside(house, given) if heard.uplink.fport == 16]
    assert [heard.uplink.confirmed for heard in proving] == [True]
    assert lies_open(proving[0])


async def test_while_somebody_waits_beside_the_adapter_nothing_waits_for_open_time(house):
    given = slot(period_s=300, phase_ms=30_000)
    house.network.after_report = configuration(3, SlotRecord(given), OPEN)
    async with house.running() as app:
        await house.pass_time(SETTLED_S, every_s=10)
        await house.pass_time(60 - into_open(house.clock.time()) % 60, every_s=1)
        pressed, before = house.clock.time(), len(house.network.uplinks)
        app._commissioning._minutes = 2
        app.commission()
        await house.pass_time(30, every_s=1)
        assert len(house.network.uplinks) - before >= 3
        assert house.network.uplinks[before].at - pressed < 5
        await house.pass_time(400, every_s=10)
        assert app._parts.slot.open_period_s == OPEN.period_s, "afterwards it does again"


async def test_without_slot_trust_nothing_waits_for_open_time(house):
    given = slot(guard_ms=6)  # the network's answers have a resolution of 4 ms
    house.network.after_report = configuration(3, SlotRecord(given), OPEN)
    async with house.running() as app:
        await house.pass_time(SETTLED_S + 600, every_s=10)
        assert app._parts.slot.state is SlotState.NO_TRUST
        assert app._parts.slot.open_period_s is None
    assert len(values(house)) >= 4
    assert not all(lies_open(heard) for heard in settled(house))


async def test_the_clock_question_of_an_adapter_that_drifts_is_asked_in_open_time(house):
    true, given = house.clock, slot(period_s=60, phase_ms=30_000)
    house.clock = CrystalClock(true, Crystal(30e-6))
    house.network.after_report = configuration(3, SlotRecord(given), OPEN)
    async with house.running():
        house.clock = true
        await house.pass_time(3.9 * 3600, every_s=20)  # then it has lost trust: this network answers no questions
    asked = [heard for heard in outside(house, given) if heard.uplink.fport == clock_package.PORT]
    assert 1 <= len(asked) <= 20
    assert all(lies_open(heard) for heard in asked)
    telegrams = [heard for heard in settled(house) if heard.uplink.fport == 16]
    assert len(telegrams) >= 210
    assert all(window(heard, given).inside or lies_open(heard) for heard in telegrams)


async def test_a_slot_that_leaves_no_room_in_open_time_still_lets_others_out(house):
    given = slot(period_s=60, phase_ms=58_000)  # in the middle of open time: of an older plan
    house.network.after_report = configuration(3, SlotRecord(given), OPEN)
    async with house.running() as app:
        await house.pass_time(SETTLED_S, every_s=10)
        app._parts.registration.renew()
        app._parts.sender.refused()
        before = len(house.reports)
        await house.pass_time(330, every_s=10)
        assert len(house.reports) > before
        assert not app._parts.sender.keeper.missed


async def test_a_slot_that_the_duty_cycle_forbids_is_missed_once_each_and_no_telegram_is_made(house):
    given = slot(period_s=60, phase_ms=30_000)
    house.network.after_report = configuration(3, SlotRecord(given), OPEN)
    async with house.running() as app:
        await house.pass_time(SETTLED_S, every_s=10)
        upcoming, now = app._parts.source.upcoming, house.clock.time()
        ledger = app._parts.radio._budget
        while ledger.allows(868_100_000, 0.1, now):
            ledger.book(868_100_000, 0.1, now)
        await house.pass_time(540, every_s=10)  # as long as its clock can be trusted
        assert app._parts.sender.keeper.missed == {"duty_cycle": 9}
        assert app._parts.source.upcoming == upcoming
