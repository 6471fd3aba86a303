"""The checker of the benchmark finds conflicts that are planted; otherwise its zero would mean nothing."""

from benchmarks.slot_judge import conflicts
from provisioning.slots.allocator import Allocator, Place, Stored


def judged(*stored: Stored) -> int:
    allocator = Allocator()
    allocator.load(stored)
    return conflicts(allocator, ((s.device, s.concentrator, s.length_ms, s.period_s, s.heard) for s in stored))


def test_slots_that_touch_do_not_conflict() -> None:
    assert judged(Stored("a", 1, Place(0, 0), 100, 900), Stored("b", 1, Place(0, 100), 100, 900)) == 0


def test_an_overlap_of_one_quantum_is_found() -> None:
    assert judged(Stored("a", 1, Place(0, 0), 102, 900), Stored("b", 1, Place(0, 100), 100, 900)) == 1


def test_a_day_meets_a_minute_once_a_day_and_an_hour_meets_it_24_times() -> None:
    minute = Stored("minute", 1, Place(0, 0), 100, 60)
    assert judged(minute, Stored("day", 1, Place(0, 3 * 3_600_000), 100, 86400)) == 1
    assert judged(minute, Stored("day", 1, Place(1, 0), 1, 86400), Stored("hour", 1, Place(0, 0), 100, 3600)) == 24


def test_who_is_only_heard_conflicts_with_who_is_served_but_not_with_another_who_is_only_heard() -> None:
    heard = Stored("heard", 1, Place(0, 0), 100, 900, (2,))
    assert judged(heard, Stored("served", 2, Place(0, 50), 100, 900)) == 1
    assert judged(heard, Stored("heard too", 3, Place(0, 50), 100, 900, (2,))) == 0
