"""The time that slots take, against a count of every millisecond."""

from random import Random

import pytest

from concentrator_agent.server.slot_times import FREE_MS, Slotted, SlotTimes


def counted(slots: list[Slotted], at: int) -> int:
    """Milliseconds until a slot begins, the slow way."""
    free = 0
    while free < 2000 and not any((at + free - phase) % period < length for period, phase, length in slots):
        free += 1
    return free


@pytest.mark.parametrize("seed", range(12))
def test_free_time_is_what_counting_every_millisecond_finds(seed: int) -> None:
    random = Random(seed)
    slots = []
    for _ in range(random.randrange(1, 40)):
        period = random.choice((60, 300, 900))
        slots.append((period, random.randrange(period), random.randrange(1, 13)))
    known = random.randrange(len(slots) + 1)
    times = SlotTimes(slots[:known])
    for slot in slots[known:]:
        times.add(*slot)
    for at in range(900):
        expected = counted(slots, at)
        assert times.free_ms(at) == expected or expected == 2000, at


def test_a_slot_over_the_end_of_its_period_goes_on_at_its_beginning() -> None:
    times = SlotTimes([(60_000, 59_900, 300)])
    assert [times.free_ms(at) for at in (0, 199, 200, 59_899, 59_900)] == [0, 0, 59_700, 1, 0]


def test_without_slots_all_is_free() -> None:
    assert SlotTimes().free_ms(1_767_225_600_000.0) == FREE_MS


def test_slots_that_touch_or_overlap_are_held_as_one() -> None:
    times = SlotTimes((900_000, 20 * number, 20) for number in range(30_000))
    assert times.intervals == 1
    times.add(900_000, 700_000, 188)
    times.add(900_000, 700_100, 188)
    assert times.intervals == 2
