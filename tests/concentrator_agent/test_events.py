"""Events: rated, so that nobody on the air can fill the outbox."""

from concentrator_agent.events import MAX_KEYS, STRANGER_BURST, Events
from edge.clock import ManualClock
from edge.ulids import Ulids
from meterwire import messages


def test_the_same_thing_is_reported_once_a_minute_with_its_count(clock: ManualClock) -> None:
    events = Events(clock, Ulids(clock))
    reported = []
    for _ in range(130):
        reported.append(events.rated("frame_refused", "70b3d57ed0060001", "mic"))
        clock._step(clock.monotonic() + 1.0)
    counts = [messages.decode_event(entry.body).detail["count"] for entry in reported if entry is not None]
    assert counts == [1, 60, 60]


def test_strangers_share_a_small_budget_that_refills(clock: ManualClock) -> None:
    events = Events(clock, Ulids(clock))
    made = [events.rated("heard", key=(str(number),), budget=events.strangers) for number in range(500)]
    assert sum(entry is not None for entry in made) == STRANGER_BURST
    assert events.rated("frame_refused", "70b3d57ed0060001", "mic") is not None
    clock._step(clock.monotonic() + 10.0)
    assert events.rated("heard", key=("x",), budget=events.strangers) is not None
    assert events.rated("heard", key=("y",), budget=events.strangers) is None
    assert events.askers.spend()


def test_what_is_remembered_is_bounded(clock: ManualClock) -> None:
    events = Events(clock, Ulids(clock))
    for number in range(MAX_KEYS + 100):
        events.rated("frame_refused", f"{number:016x}", "mic")
    assert len(events._last) == MAX_KEYS


def test_ids_are_unique_and_sort_by_time(clock: ManualClock) -> None:
    ulids = Ulids(clock)
    ids = [ulids() for _ in range(1000)]
    clock.jump(1)
    assert len(set(ids)) == 1000
    assert ulids() > max(ids)
