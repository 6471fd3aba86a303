"""A whole adapter with a slot: it keeps it by the network's time, and falls back where it cannot."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from adapter_agent.own_slot import HOLD_S
from adapter_agent.radio.base import Span
from adapter_agent.simulation.crystal import Crystal, CrystalClock
from meterwire import clock_package, config_records
from meterwire.clock_package import ClockAnswer, ClockForecast, ClockQuality
from meterwire.config_records import ConfigurationRefused, Reporting, SlotRecord, SlotReport, SlotState
from meterwire.lorawan.airtime import airtime_s
from meterwire.slots import FREQUENCIES_HZ, Slot, length_ms
from tests.adapter_agent.beacons import RECORD
from tests.adapter_agent.house import House, reported


def slot(**changes) -> Slot:
    fields = {"channel": 1, "phase_ms": 123_456, "period_s": 300, "data_rate": 4, "guard_ms": 60, "version": 7}
    fields |= changes
    fields.setdefault("length_ms", length_ms(19, fields["data_rate"], fields["guard_ms"]))
    return Slot(**fields)


def configuration(version: int, *records) -> list[bytes]:
    return config_records.encode(version, records)


@pytest.fixture
def house(tmp_path):
    house = House(tmp_path, more="[commissioning]\nminutes = 0")
    yield house
    house.close()


def in_slot(house, slot) -> list:
    """The values telegrams that lie in their slot, guards included."""
    return [heard for heard in values(house) if window(heard, slot).inside and on_place(heard, slot)]


def values(house) -> list:
    return [heard for heard in house.network.uplinks if heard.uplink.fport == 16]


def window(heard, slot):
    return slot.window(heard.at, airtime_s(len(heard.frame), heard.dr))


def on_place(heard, slot) -> bool:
    return heard.frequency_hz == FREQUENCIES_HZ[slot.channel] and heard.dr == slot.data_rate


def states(house) -> list[SlotState]:
    return [report.state for report in reported(house.reports, SlotReport)]


async def test_every_regular_telegram_goes_out_when_its_slot_begins(house):
    given = slot()
    house.network.after_report = configuration(3, SlotRecord(given))
    async with house.running():
        await house.pass_time(3600)
    late = values(house)[2:]
    assert len(late) >= 10
    assert [window(heard, given).inside for heard in late] == [True] * len(late)
    assert all(on_place(heard, given) for heard in late)
    assert max(abs(window(heard, given).offset_s) for heard in late) < 0.010
    assert {round(later.at - earlier.at) for earlier, later in pairwise(late)} == {300}
    assert states(house)[-1] is SlotState.IN_SLOT
    assert reported(house.reports, SlotReport)[-1].version == 7


async def test_without_the_networks_time_it_sends_jittered_and_says_so(house):
    given = slot(guard_ms=6)  # the network's answers have a resolution of 4 ms
    house.network.after_report = configuration(3, SlotRecord(given))
    async with house.running():
        await house.pass_time(700, every_s=10)
    assert len(values(house)) >= 2
    assert in_slot(house, given) == []
    assert states(house) == [SlotState.NO_TRUST]


async def test_what_is_not_for_the_slot_keeps_clear_of_it(house):
    given = slot(period_s=60, phase_ms=30_000)
    house.network.after_report = configuration(3, SlotRecord(given))
    async with house.running() as app:
        await house.pass_time(400, every_s=5)
        for _ in range(12):
            app._parts.sender.refused()  # a report is wanted, at any moment
            app._parts.registration.renew()
            await house.pass_time(25, every_s=5)
    others = [
        heard for heard in house.network.uplinks if heard.uplink.fport != 16 and heard.at - house_begin(house) > 400
    ]
    assert len(others) >= 8
    for heard in others:
        begin = heard.at - airtime_s(len(heard.frame), heard.dr)
        assert given.begin(begin) - heard.at > 2.5, "its receive windows are over before the slot"
    late = [heard for heard in values(house) if heard.at - house_begin(house) > 130]
    assert len(late) >= 8
    assert all(window(heard, given).inside for heard in late)


def house_begin(house) -> float:
    return house.network.uplinks[0].at


async def test_a_clock_answer_moves_the_next_telegrams_by_what_it_says(house):
    given = slot()
    house.network.after_report = configuration(3, SlotRecord(given))
    async with house.running() as app:
        await house.pass_time(1000, every_s=10)
        last = values(house)[-1]
        assert abs(window(last, given).offset_s) < 0.010
        answer = ClockAnswer(last.fcnt & 0xFFFF, -20_000, 0, 5, ClockQuality.GPS)
        app.downlink(clock_package.PORT, answer.encode())
        house.network.mute = True
        await house.pass_time(600, every_s=10)
    for heard in values(house)[-2:]:
        assert window(heard, given).offset_s == pytest.approx(window(last, given).offset_s - 0.020, abs=0.006)


async def test_an_answer_that_nobody_could_give_ends_trust_until_it_is_repeated(house):
    given = slot()
    house.network.after_report = configuration(3, SlotRecord(given))
    async with house.running() as app:
        await house.pass_time(1000, every_s=10)
        assert app._parts.slot.state is SlotState.IN_SLOT
        last = values(house)[-1]
        app.downlink(clock_package.PORT, ClockAnswer(last.fcnt, 3_600_000_000 // 4, 0, 5, ClockQuality.GPS).encode())
        assert app._parts.slot.state is SlotState.NO_TRUST
        await house.pass_time(400, every_s=10)
        assert app._parts.slot.state is SlotState.IN_SLOT, "the network's next answers agree with the clock again"
    assert states(house)[-2:] == [SlotState.NO_TRUST, SlotState.IN_SLOT]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x80",
        bytes(13),
        b"\xff" * 13,
        ClockAnswer(1, 0, 0, 5, ClockQuality.NONE).encode(),
        ClockAnswer(1, 0, 0, 5, ClockQuality.NONE).encode() + ClockForecast(96, 0).encode(),
        ClockForecast(96, 0).encode(),
        b"\x80" * 51,
    ],
)
async def test_bad_clock_answers_change_nothing(house, payload):
    house.network.after_report = configuration(3, SlotRecord(slot()))
    async with house.running() as app:
        await house.pass_time(400, every_s=10)
        discipline = app._parts.time.discipline
        before = discipline.unix(1e6), discipline.uncertainty(1e6)
        app.downlink(clock_package.PORT, payload)
        assert (discipline.unix(1e6), discipline.uncertainty(1e6)) == before


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"channel": 7}, "no channel 7 DR4"),  # this network has announced three
        ({"guard_ms": 60, "length_ms": 121}, "slot too short"),
        ({"guard_ms": 60, "length_ms": 120 + 123}, "slot too short"),  # 15 bytes at DR4
    ],
)
async def test_a_slot_that_cannot_be_used_is_refused_with_the_reason_and_the_rest_is_in_force(house, changes, reason):
    house.network.after_report = configuration(3, SlotRecord(slot(**changes)), Reporting(60))
    async with house.running():
        await house.pass_time(400, every_s=10)
    assert states(house) == [SlotState.REFUSED]
    assert reported(house.reports, ConfigurationRefused) == [ConfigurationRefused(3, SlotRecord.type, reason)]
    assert len(values(house)) >= 5, "at the configured period"


async def test_slot_and_data_rate_change_together_and_a_lost_slot_is_told(house):
    first, second = slot(), slot(channel=2, data_rate=2, phase_ms=20_000, version=8)
    house.network.after_report = configuration(3, SlotRecord(first))
    async with house.running():
        await house.pass_time(700, every_s=10)
        house.network.waiting = configuration(4, SlotRecord(second))
        await house.pass_time(1200, every_s=10)
        assert all(on_place(heard, second) and window(heard, second).inside for heard in values(house)[-2:])
        house.network.waiting = configuration(5, Reporting(300))
        await house.pass_time(1200, every_s=10)
    assert in_slot(house, second)[-1:] != values(house)[-1:]
    assert [(one.version, one.state) for one in reported(house.reports, SlotReport)][-3:] == [
        (7, SlotState.IN_SLOT),
        (8, SlotState.IN_SLOT),
        (0, SlotState.NONE),
    ]


async def test_it_goes_on_in_its_slot_over_a_restart_and_not_over_a_loss_of_power(house, monkeypatch):
    given = slot()
    house.network.after_report = configuration(3, SlotRecord(given))
    async with house.running():
        await house.pass_time(1000, every_s=10)
    async with house.running() as app:
        await house.pass_time(20, every_s=10)
        assert app._parts.slot.state is SlotState.IN_SLOT
    monkeypatch.setattr("adapter_agent.timekeeping.boot_id", lambda: "another start")
    house.network.mute = True
    async with house.running() as app:
        await house.pass_time(700, every_s=10)
        assert app._parts.slot.state is SlotState.NO_TRUST
        assert [heard for heard in in_slot(house, given) if heard.at > house.clock.time() - 600] == []
        house.network.mute = False
        await house.pass_time(900, every_s=10)
        assert app._parts.slot.state is SlotState.IN_SLOT
    assert in_slot(house, given)[-1:] == values(house)[-1:]


async def test_a_jump_of_the_machines_clock_moves_no_telegram(house):
    given = slot(guard_ms=300)
    house.network.after_report = configuration(3, SlotRecord(given))
    async with house.running():
        await house.pass_time(700, every_s=10)
        house.network.mute = True  # its clock jumps along
        house.clock.jump(-5000.0)
        await house.pass_time(600, every_s=10)
    for heard in values(house)[-2:]:
        at = heard.at + 5000.0
        assert given.window(at, airtime_s(len(heard.frame), heard.dr)).inside


async def test_telegrams_do_not_wait_for_what_came_just_before_the_slot(house):
    """Held back are the others, and not for longer than they must."""
    given = slot(period_s=60, phase_ms=30_000)
    house.network.after_report = configuration(3, SlotRecord(given))
    async with house.running() as app:
        await house.pass_time(300, every_s=5)
        slot_in = given.begin(house.clock.time()) - house.clock.time()
        await house.pass_time(slot_in - 5, every_s=1)
        span = Span(10.0, 10.0)
        clear = app._parts.slot.clear_at(house.clock.monotonic(), span)
        assert 5 < clear - house.clock.monotonic() < 5 + given.length_ms / 1000 + HOLD_S
        assert app._parts.slot.clear_at(house.clock.monotonic(), span) == clear, "asking again makes it no longer"


async def test_a_telegram_outside_of_slots_rests_until_the_slot_is_over(house, monkeypatch):
    given = slot(period_s=60, phase_ms=30_000)
    house.network.after_report = configuration(3, SlotRecord(given))
    async with house.running() as app:
        await house.pass_time(300, every_s=5)
        own, turns = app._parts.slot, []
        clear_at = own.clear_at
        monkeypatch.setattr(own, "next", lambda monotonic_s: None)  # not to be trusted from the next period on
        monkeypatch.setattr(own, "clear_at", lambda *asked: turns.append(asked) or clear_at(*asked))
        before = len(values(house))
        await house.pass_time(600, every_s=5)
    assert len(values(house)) - before >= 8
    assert max(Counter(now for now, _ in turns).values()) == 1, "it does not turn in circles while it waits"


async def test_nothing_else_that_goes_on_holds_up_the_slot(house, monkeypatch):
    given = slot(period_s=60, phase_ms=30_000)
    house.network.after_report = configuration(3, SlotRecord(given))
    async with house.running() as app:
        await house.pass_time(300, every_s=5)
        monkeypatch.setattr(app._parts.sender, "_turn", lambda: app._clock.sleep(500))
        before = len(values(house))
        await house.pass_time(480, every_s=5)
        assert not app._parts.sender.keeper.missed
    late = values(house)[before:]
    assert len(late) == 8
    assert all(window(heard, given).inside and on_place(heard, given) for heard in late)


async def test_that_trust_was_lost_is_told_even_when_it_is_back_before_the_report(house):
    given = slot()
    house.network.after_report = configuration(3, SlotRecord(given))
    async with house.running() as app:
        await house.pass_time(1000, every_s=10)
        app._parts.sender._reports.due = app._clock.monotonic() + 300  # the report has to wait
        app.downlink(clock_package.PORT, doubtful_answer(house))
        await house.pass_time(30, every_s=5)
        told = house.clock.time() + 0.002
        for later_s in (0.0, 40.0):  # and the network's own time is right
            await house.pass_time(later_s, every_s=5)
            app._parts.time.told(told + later_s, app._clock.monotonic())
        assert app._parts.slot.state is SlotState.IN_SLOT
        assert states(house)[-1] is SlotState.IN_SLOT
        await house.pass_time(900, every_s=10)
    assert states(house)[-2:] == [SlotState.NO_TRUST, SlotState.IN_SLOT]


def doubtful_answer(house) -> bytes:
    return ClockAnswer(values(house)[-1].fcnt & 0xFFFF, 900_000_000, 0, 5, ClockQuality.GPS).encode()


async def test_a_crystal_that_drifts_like_100_ppm_is_known_from_the_second_answer_on_and_guesses_no_slot(house):
    true, given = house.clock, slot(period_s=60, phase_ms=30_000)
    house.clock = CrystalClock(true, Crystal(100e-6))
    house.network.after_report = configuration(3, SlotRecord(given))
    async with house.running() as app:
        house.clock = true
        while app._parts is None or app._parts.time.answers < 2:
            await house.pass_time(60, every_s=20)
        known = house.clock.time()
        assert app._parts.time.discipline.rate == pytest.approx(100e-6, abs=15e-6)
        await house.pass_time(4 * 3600, every_s=20)
    guard = given.guard_ms / 1000
    late = [heard for heard in values(house) if heard.at > known and on_place(heard, given)]
    astray = [heard for heard in late if guard <= abs(window(heard, given).offset_s) < 1.0]
    assert len(late) >= 50
    assert astray == [], "it is in its slot, or it does not try"
    assert SlotState.IN_SLOT in states(house)


async def test_a_crystal_that_leaps_in_its_rate_is_noticed_by_the_next_answer(house):
    true, given = house.clock, slot(period_s=60, phase_ms=30_000)
    crystal = Leaping(true, 5e-6)
    house.clock = crystal
    house.network.after_report = configuration(3, SlotRecord(given))
    async with house.running() as app:
        house.clock = true
        await house.pass_time(2 * 3600, every_s=20)
        crystal.leap(80e-6)
        before = app._parts.time.discipline._wander
        await house.pass_time(1200, every_s=20)
        app._parts.radio.want_time()
        await house.pass_time(120, every_s=20)
        assert app._parts.time.discipline._wander > 10 * before
        ahead = app._clock.monotonic() + 900
        assert app._parts.time.discipline.uncertainty(ahead) > given.guard_ms / 2000, "so it will ask again soon"


class Leaping(CrystalClock):
    """Its rate changes from one second to the next, as when something in it breaks."""

    def __init__(self, true, rate: float) -> None:
        super().__init__(true, Crystal(rate))
        self._more, self._since = 0.0, 0.0

    def leap(self, rate: float) -> None:
        self._more, self._since = rate, self._true.monotonic()

    def monotonic(self) -> float:
        return super().monotonic() + self._more * max(0.0, self._true.monotonic() - self._since)


async def test_an_air_that_is_gone_for_long_makes_nobody_seem_stuck(house, monkeypatch):
    given, gone = slot(period_s=60, phase_ms=30_000), asyncio.Event()
    house.network.after_report = configuration(3, SlotRecord(given), RECORD)
    house.network.listen = lambda **_: gone.wait()
    exchange = house.network.exchange

    async def hanging(frame, **how):
        await gone.wait()
        return await exchange(frame, **how)

    async with house.running() as app:
        await house.pass_time(400, every_s=10)
        monkeypatch.setattr(house.network, "exchange", hanging)
        for _ in range(8):
            await house.pass_time(100, every_s=10)
            assert app._watchdog.stuck() == []


async def test_a_radio_that_is_not_ready_for_its_slot_misses_it_and_sends_nothing_when_it_is(house, monkeypatch):
    given, back = slot(period_s=60, phase_ms=30_000), asyncio.Event()
    house.network.after_report = configuration(3, SlotRecord(given))
    async with house.running() as app:
        await house.pass_time(400, every_s=10)
        before = len(house.network.uplinks)
        monkeypatch.setattr(app._parts.radio, "_available", back.wait)
        await house.pass_time(130, every_s=1)
        assert app._parts.sender.keeper.missed == {"slot_missed": 2}
        back.set()
        await house.pass_time(130, every_s=1)
    late = [heard for heard in house.network.uplinks[before:] if heard.uplink.fport == 16 and on_place(heard, given)]
    assert len([heard for heard in late if window(heard, given).inside]) >= 2
