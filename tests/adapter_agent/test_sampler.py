"""What is sent of what the meters say."""

from decimal import Decimal

import pytest

from adapter_agent.config import Obis
from adapter_agent.config import Sampler as Config
from adapter_agent.sampler import Sampler
from edge.clock import ManualClock
from meterwire.reading import Reading, RegisterValue
from meterwire.registers import register_number
from meterwire.seal import Value
from tests.adapter_agent.cast import reading

IMPORT, EXPORT, POWER = 1, 2, 7


def sampler(clock: ManualClock | None = None, **options) -> Sampler:
    registers = tuple(Obis.parse(obis) for obis in ("1-0:1.8.0", "1-0:2.8.0", "1-0:16.7.0"))
    return Sampler(Config(registers=registers, **options), clock or ManualClock())


def values(samples) -> list[Value]:
    return [value for sample in samples for value in sample.values]


def test_values_are_rounded_towards_zero_into_the_dictionary_unit():
    taken = sampler()
    taken.put(0, reading(i180="12345.9", i280="0.0", i1670="-150.7"))
    assert values(taken.take()) == [Value(IMPORT, 12345), Value(EXPORT, 0), Value(POWER, -150)]


def test_only_configured_registers_that_the_meter_sent_are_taken():
    taken = sampler()
    taken.put(0, reading(i180="1", i181="1"))
    assert values(taken.take()) == [Value(IMPORT, 1)]


def test_without_a_reading_there_is_nothing_to_send():
    assert sampler().take() == []


def test_inputs_are_told_apart():
    taken = sampler()
    taken.put(3, reading(i180="3"))
    taken.put(0, reading(i180="7"))
    assert values(taken.take()) == [Value(IMPORT, 7), Value(register_number(IMPORT, 3), 3)]


async def test_a_sample_knows_its_age_and_a_silent_meter_is_not_repeated(caplog):
    clock = ManualClock()
    taken = sampler(clock, silent_after_s=100)
    taken.put(0, reading(i180="1"))
    await clock.advance(90)
    assert taken.take()[0].age_s == 90
    await clock.advance(11)
    assert taken.take() == []
    assert taken.take() == []
    assert caplog.text.count("is silent") == 1
    taken.put(0, reading(i180="2"))
    assert len(taken.take()) == 1


async def test_a_change_over_the_threshold_is_worth_a_telegram_but_not_too_often():
    clock = ManualClock()
    taken = sampler(clock, on_change={"1-0:16.7.0": 500.0}, least_interval_s=60.0)
    assert not taken.put(0, reading(i1670="100"))
    taken.take()
    assert not taken.put(0, reading(i1670="700"))  # too early
    await clock.advance(60)
    assert not taken.put(0, reading(i1670="599.9"))
    assert taken.put(0, reading(i1670="600"))
    taken.take()
    await clock.advance(60)
    assert not taken.put(0, reading(i1670="600"))
    assert taken.put(0, reading(i1670="-1"))


@pytest.mark.parametrize(("value", "unit"), [("-1", "Wh"), ("1", "kWh"), ("1", None), (None, "Wh"), ("1E20", "Wh")])
def test_what_no_telegram_can_carry_is_left_out(value, unit):
    taken = sampler()
    entry = RegisterValue(None if value is None else Decimal(value), unit, 0)
    good = RegisterValue(Decimal(5), "Wh", 0)
    taken.put(0, Reading(None, None, {"1-0:1.8.0*255": entry, "1-0:2.8.0*255": good}))
    assert values(taken.take()) == [Value(EXPORT, 5)]


def test_past_periods_are_not_taken_for_the_present():
    taken = sampler()
    entry = RegisterValue(Decimal(1), "Wh", 0)
    taken.put(0, Reading(None, None, {"1-0:1.8.0*100": entry}))
    assert taken.take() == []
