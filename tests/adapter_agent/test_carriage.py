"""Telegrams carry the value before where that is true, fits, and was asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_agent.carriage import SLACK_S
from edge.clock import ManualClock
from meterwire import config_records
from meterwire.config_records import PreviousRecord, SlotRecord
from meterwire.previous import MAX_GROWTH, earlier
from meterwire.registers import IDENTITY, register_number
from meterwire.seal import InnerKey, Value, ValuesOpener
from tests.adapter_agent.cast import BEGIN, DEV_EUI, INNER_KEY
from tests.adapter_agent.house import House
from tests.adapter_agent.test_sealing import key, sample, sealing
from tests.adapter_agent.test_slots import slot

PERIOD_S = 900.0


class Desk:
    """A sealing whose telegrams are opened at once."""

    def __init__(self, period_s: float | None = PERIOD_S, **config) -> None:
        self.clock = ManualClock()
        self.sealing = sealing(key(not_after=BEGIN + 1e6), clock=self.clock, **config)
        self.sealing.carry_previous(period_s)
        self.opener = ValuesOpener(InnerKey(INNER_KEY), DEV_EUI)

    async def send(self, *values: tuple[int, int], after_s: float = 0.0, limit: int = 51, **fields):
        await self.clock.advance(after_s)
        telegrams = self.sealing.seal([sample(*values, **fields)], limit)
        return [(self.opener.open(one.payload, one.counter), len(one.payload)) for one in telegrams]


async def told(desk: Desk, *values: tuple[int, int], **fields) -> list[tuple[Value, ...]]:
    return [earlier(opened) for opened, _ in await desk.send(*values, **fields)]


async def test_the_value_of_the_telegram_before_goes_along():
    desk = Desk()
    assert await told(desk, (1, 5000), (2, 7)) == [()]
    assert await told(desk, (1, 5130), (2, 8), after_s=PERIOD_S) == [(Value(1, 5000),)]
    assert await told(desk, (1, 5130), (2, 8), after_s=PERIOD_S) == [(Value(1, 5130),)]


async def test_nothing_goes_along_unasked():
    desk = Desk(None)
    await desk.send((1, 5000))
    assert await told(desk, (1, 5130), after_s=PERIOD_S) == [()]


@pytest.mark.parametrize("late_s", [-SLACK_S - 1, SLACK_S + 1, -PERIOD_S + 60])
async def test_a_value_that_would_be_dated_wrongly_is_left_out(late_s):
    desk = Desk()
    await desk.send((1, 5000))
    assert await told(desk, (1, 5130), after_s=PERIOD_S + late_s) == [()]


async def test_what_counts_is_when_it_was_read():
    desk = Desk()
    await desk.send((1, 5000), age_s=100.0)
    assert await told(desk, (1, 5130), after_s=PERIOD_S) == [()], "read 1000 s apart"
    assert await told(desk, (1, 5200), after_s=PERIOD_S + 50, age_s=50.0) == [(Value(1, 5130),)]


@pytest.mark.parametrize("now", [(1, 4999), (1, 5001 + MAX_GROWTH), (2, 5001), (7, 5001)])
async def test_another_meter_another_register_or_a_long_gap_is_left_out(now):
    desk = Desk()
    await desk.send((1, 5000))
    assert await told(desk, now, after_s=PERIOD_S) == [()]


async def test_the_values_come_first_where_room_is_short():
    desk = Desk()
    await desk.send((1, 5000), (2, 3000))
    [(opened, size)] = await desk.send((1, 5001), (2, 3000), after_s=PERIOD_S, limit=14)
    assert [value.register for value in opened] == [1, 2]
    assert size == 13
    [(opened, size)] = await desk.send((1, 5002), (2, 3000), after_s=PERIOD_S, limit=15)
    assert [value.register for value in opened] == [1, 2, 0]


async def test_each_input_has_its_own():
    desk = Desk()
    two = [sample((1, 500)), sample((20, 90), input_=1)]
    desk.sealing.seal(two, 51)
    await desk.clock.advance(PERIOD_S)
    [telegram] = desk.sealing.seal([sample((1, 510)), sample((20, 91), input_=1)], 51)
    opened = desk.opener.open(telegram.payload, telegram.counter)
    assert earlier(opened) == (Value(1, 500), Value(register_number(20, 1), 90))


async def test_what_another_telegram_came_between_is_not_the_one_before():
    desk = Desk()
    await desk.send((1, 5000))
    await desk.send((1, 5005), after_s=60)
    assert await told(desk, (1, 5130), after_s=PERIOD_S - 60) == [()]


async def test_a_proof_of_the_meter_does_not_count_as_a_register():
    desk = Desk()
    await desk.send((IDENTITY, 77), (1, 5000))
    assert await told(desk, (1, 5130), after_s=PERIOD_S) == [(Value(1, 5000),)]


async def test_with_a_least_width_its_length_tells_nothing():
    desk = Desk(least_width=4)
    await desk.send((1, 5000))
    [(_, little)] = await desk.send((1, 5000), after_s=PERIOD_S)
    [(_, much)] = await desk.send((1, 60_000), after_s=PERIOD_S)
    assert little == much


@given(st.lists(st.tuples(st.integers(0, 70_000), st.sampled_from([PERIOD_S, 60.0, 2 * PERIOD_S])), max_size=12))
async def test_whatever_is_told_is_what_the_telegram_before_carried(steps):
    desk, total, before = Desk(), 10**9, None
    for grown, pause in steps:
        total += grown
        [(opened, _)] = await desk.send((1, total), after_s=pause)
        if before is not None:
            assert earlier(opened) in ((), (Value(1, before),))
            assert bool(earlier(opened)) == (pause == PERIOD_S and grown <= MAX_GROWTH)
        before = total


async def test_an_adapter_in_its_slot_carries_what_the_configuration_asks_for(tmp_path):
    house = House(tmp_path, more="[commissioning]\nminutes = 0")
    try:
        given = slot(period_s=60, phase_ms=30_000)
        house.network.after_report = config_records.encode(3, [SlotRecord(given), PreviousRecord(True)])
        async with house.running():
            await house.pass_time(400)
        opener = ValuesOpener(InnerKey(INNER_KEY), DEV_EUI)
        opened = [opener.open(sent.payload, sent.counter) for sent in house.telegrams[-3:]]
        assert [len(earlier(values)) for values in opened] == [1, 1, 1]
    finally:
        house.close()
