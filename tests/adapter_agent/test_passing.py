"""Telegrams that pass through: the latest of each input, once, while it is fresh and fits."""

from adapter_agent.meter.installation import Passed
from adapter_agent.passing import MAX_BYTES, PassThrough
from edge.clock import ManualClock


def telegram(octet: int, size: int = MAX_BYTES) -> Passed:
    return Passed(19, bytes((octet,)) * size, "no_meter_key")


def test_the_latest_of_each_input_goes_out_once():
    passing = PassThrough(ManualClock(), 300)
    passing.put(1, telegram(1))
    passing.put(0, telegram(2))
    passing.put(1, telegram(3))
    assert passing.take() == [telegram(2), telegram(3)]
    assert passing.take() == []


async def test_what_is_as_old_as_a_silent_meter_does_not_go_out():
    clock = ManualClock()
    passing = PassThrough(clock, 300)
    passing.put(0, telegram(1))
    await clock.advance(301)
    assert passing.take() == []


def test_what_waits_is_dropped_when_the_meter_is_opened():
    passing = PassThrough(ManualClock(), 300)
    passing.put(0, telegram(1))
    passing.put(1, telegram(2))
    passing.opened(0)
    assert passing.take() == [telegram(2)]


def test_one_byte_too_many_is_an_alarm_told_once_per_size(caplog):
    passing = PassThrough(ManualClock(), 300)
    for size in (MAX_BYTES + 1, MAX_BYTES + 1, MAX_BYTES + 2):
        passing.put(0, telegram(1, size))
    assert passing.take() == []
    assert passing.too_long == 3
    assert [record.bytes for record in caplog.records] == [MAX_BYTES + 1, MAX_BYTES + 2]


def test_a_telegram_that_is_too_long_takes_the_older_one_along():
    passing = PassThrough(ManualClock(), 300)
    passing.put(0, telegram(1))
    passing.put(0, telegram(2, MAX_BYTES + 1))
    assert passing.take() == []
