"""What an exchange takes follows the windows of the session itself, and so does how much fits into open time."""

from random import Random

import pytest

from adapter_agent.discipline import Discipline, Sample
from adapter_agent.open_time import FRONT_S, OpenTime
from adapter_agent.radio import slotted
from adapter_agent.radio.link import Link
from meterwire.config_records import OpenTimeRecord
from meterwire.lorawan.airtime import lora_airtime_s
from meterwire.lorawan.frame import JoinAccept
from meterwire.lorawan.region import EU868

OPEN = OpenTimeRecord(300, 292_500, 7_500)
SIZE = 40


def link(rate: int, rx2_dr: int) -> Link:
    return Link.accepted(EU868, rate, JoinAccept(1, 0x13, 0x26011234, rx2_dr=rx2_dr))


def uplink_s(spreading_factor: int) -> float:
    """A frame of that size with everything that may go along."""
    return lora_airtime_s(13 + 15 + SIZE, spreading_factor)


@pytest.mark.parametrize(
    ("rate", "rx2_dr", "whole_s"),
    [
        (5, 0, uplink_s(7) + 2 + lora_airtime_s(5 + 59, 12, crc=False)),
        (5, 3, uplink_s(7) + 2 + lora_airtime_s(5 + 123, 9, crc=False)),
        (0, 3, uplink_s(12) + 1 + lora_airtime_s(5 + 59, 12, crc=False)),
    ],
)
def test_an_exchange_takes_as_long_as_the_longest_answer_in_either_window(rate, rx2_dr, whole_s):
    assert slotted.span(link(rate, rx2_dr), SIZE).whole_s == pytest.approx(whole_s)


@pytest.mark.parametrize("rate", range(6))
@pytest.mark.parametrize("rx2_dr", range(6))
def test_it_is_answered_before_it_is_over_and_listens_to_both_windows(rate, rx2_dr):
    span = slotted.span(link(rate, rx2_dr), SIZE)
    assert span.answered_s <= span.whole_s
    assert span.windows_s < span.whole_s


@pytest.mark.parametrize(("rx2_dr", "fits"), [(0, 2), (3, 3)])
def test_several_exchanges_fit_into_one_open_time(rx2_dr, fits):
    span, clock = slotted.span(link(5, rx2_dr), SIZE), Discipline()
    clock.take(Sample(1000.0, 1_767_225_600.0, 0.005, 0.0))
    open_time, now, begun = OpenTime(OPEN, Random(1)), clock.monotonic(1_767_225_600.0 + 292.55), 0
    while open_time.at(now, span, clock, lambda _: None) == now:
        begun, now = begun + 1, now + span.answered_s
    assert begun == fits


def begins(rate: int, seed: int, record: OpenTimeRecord = OPEN) -> float:
    """Seconds into open time at which an exchange begins that waited for it."""
    clock = Discipline()
    clock.take(Sample(1000.0, 1_767_225_600.0, 0.005, 0.0))
    found = OpenTime(record, Random(seed)).at(
        clock.monotonic(1_767_225_610.0), slotted.span(link(rate, 3), SIZE), clock, lambda _: None
    )
    assert found is not None
    return (clock.unix(found) - record.phase_ms / 1000) % record.period_s


@pytest.mark.parametrize("rate", [0, 1, 2])
def test_slow_frames_all_begin_with_open_time(rate):
    assert all(0 < begins(rate, seed) < FRONT_S for seed in range(100))


@pytest.mark.parametrize("rate", [3, 4, 5])
def test_fast_frames_that_waited_are_answered_when_the_slow_ones_are_over(rate):
    slow_s = lora_airtime_s(13 + SIZE, 12)
    first = min(begins(rate, seed) for seed in range(100))
    assert first + lora_airtime_s(13, 12 - rate) + 1 >= slow_s - 0.2, "only the last bytes of the longest may meet one"
    assert max(begins(rate, seed) for seed in range(100)) > 2 * first, "they are spread over what is left"


@pytest.mark.parametrize("rate", range(6))
def test_a_short_open_time_lets_everybody_begin(rate):
    short = OpenTimeRecord(60, 58_500, 1_500)
    assert all(begins(rate, seed, short) < 1.5 for seed in range(20))
