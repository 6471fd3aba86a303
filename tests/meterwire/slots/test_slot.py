"""When slots begin, whether frames lie in them, and which are in each other's way, judged second by second."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterwire.errors import ValueOutOfRange
from meterwire.slots import FREQUENCIES_HZ, MAX_GUARD_MS, PERIODS, Slot

SLOT = Slot(channel=1, phase_ms=123_456, period_s=900, data_rate=5, guard_ms=20, length_ms=108, version=2)
FRAME = 1_800_000_000.0  # a multiple of 900 s
DAY_MS = 86_400_000


def slots(periods: tuple[int, ...] = PERIODS) -> st.SearchStrategy[Slot]:
    return st.sampled_from(periods).flatmap(
        lambda period: st.builds(
            Slot,
            channel=st.integers(0, 1),
            phase_ms=st.integers(0, period * 1000 - 1),
            period_s=st.just(period),
            data_rate=st.integers(0, 5),
            guard_ms=st.integers(0, 40),
            length_ms=st.integers(81, 8000),
            version=st.integers(1, 0xFFFF),
        )
    )


moments = st.floats(0, 4_000_000_000, allow_nan=False)


def test_a_slot_begins_at_its_phase_in_the_frame() -> None:
    assert SLOT.begin(FRAME) == FRAME + 123.456
    assert SLOT.begin(FRAME + 123.456) == FRAME + 123.456
    assert SLOT.begin(FRAME + 123.457) == FRAME + 1023.456
    assert SLOT.send_at(FRAME) == FRAME + 123.476


def test_inside_the_leading_guard_the_frame_is_still_to_be_sent() -> None:
    assert SLOT.send_at(FRAME + 123.470) == FRAME + 123.476
    assert SLOT.send_at(FRAME + 123.477) == FRAME + 1023.476


@given(slots(), moments)
def test_the_next_begin_is_never_past_nor_more_than_a_period_away(slot: Slot, now: float) -> None:
    begin = slot.begin(now)
    assert -1e-6 <= begin - now < slot.period_s + 1e-6
    assert round(begin * 1000) % slot.period_ms == slot.phase_ms
    assert slot.begin(begin) == begin


@given(slots(), moments)
def test_the_moment_of_sending_is_a_guard_after_a_begin(slot: Slot, now: float) -> None:
    at = slot.send_at(now)
    assert -1e-6 <= at - now < slot.period_s + 1e-6
    assert slot.begin(at - slot.guard_ms / 1000 - 1e-6) == pytest.approx(at - slot.guard_ms / 1000, abs=1e-6)


@pytest.mark.parametrize(
    ("late_ms", "inside", "used"),
    [(0, True, 0.0), (20, True, 1.0), (-20, True, 1.0), (21, False, 1.05), (-30, False, 1.5)],
)
def test_a_frame_is_inside_while_it_deviates_by_no_more_than_the_guard(late_ms: int, inside: bool, used: float) -> None:
    window = SLOT.window(FRAME + 123.476 + late_ms / 1000 + 0.068, 0.068)
    assert window.offset_s == pytest.approx(late_ms / 1000)
    assert (window.begin, window.end) == (FRAME + 123.456, FRAME + 123.564)
    assert window.inside is inside
    assert window.guard_used == pytest.approx(used)


def test_a_frame_longer_than_the_slot_was_made_for_is_not_inside() -> None:
    assert not SLOT.window(FRAME + 123.476 + 0.1, 0.1).inside


@given(slots(), moments)
def test_a_frame_belongs_to_the_nearest_occurrence(slot: Slot, start: float) -> None:
    window = slot.window(start + 0.05, 0.05)
    assert abs(window.offset_s) <= slot.period_s / 2 + 1e-5
    assert round(window.begin * 1000) % slot.period_ms == slot.phase_ms


def occupied(slot: Slot) -> list[tuple[int, int]]:
    """Every interval of two days in ms, written out."""
    return [(begin, begin + slot.length_ms) for begin in range(slot.phase_ms, 2 * DAY_MS, slot.period_ms)]


def meet(one: Slot, other: Slot) -> bool:
    """The judge: looks at every occurrence of two days in turn."""
    ours, theirs = occupied(one), occupied(other)
    place = 0
    for begin, end in ours:
        while place < len(theirs) and theirs[place][1] <= begin:
            place += 1
        if place < len(theirs) and theirs[place][0] < end:
            return True
    return False


@given(slots(), slots(), st.integers(-8100, 8100))
def test_overlaps_are_those_that_writing_out_two_days_finds(one: Slot, other: Slot, near: int) -> None:
    other = replace(other, channel=one.channel, phase_ms=(one.phase_ms + near) % other.period_ms)
    assert one.overlaps(other) == other.overlaps(one) == meet(one, other)


def test_slots_that_touch_or_use_another_channel_do_not_overlap() -> None:
    behind = replace(SLOT, phase_ms=SLOT.phase_ms + SLOT.length_ms)
    assert not SLOT.overlaps(behind)
    assert not behind.overlaps(SLOT)
    assert SLOT.overlaps(replace(behind, phase_ms=behind.phase_ms - 1))
    assert not SLOT.overlaps(replace(SLOT, channel=2))


def test_an_overlap_across_the_end_of_the_period_is_seen() -> None:
    last = replace(SLOT, phase_ms=899_950)
    first = replace(SLOT, phase_ms=0)
    assert last.overlaps(first)
    assert first.overlaps(last)


def test_channels_are_the_default_ones_and_five_more() -> None:
    assert [hz // 100_000 for hz in FREQUENCIES_HZ] == [8681, 8683, 8685, 8671, 8673, 8675, 8677, 8679]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"channel": 8}, "channels 0 to 7, not 8"),
        ({"channel": -1}, "channels 0 to 7, not -1"),
        ({"period_s": 600}, "one of 60, 300, 900, 3600, 86400 s, not 600"),
        ({"phase_ms": 900_000}, "0 to 899999 ms in this period, not 900000"),
        ({"phase_ms": -1}, "not -1"),
        ({"data_rate": 6}, "data rates 0 to 5, not 6"),
        ({"guard_ms": MAX_GUARD_MS + 1}, "0 to 2000 ms, not 2001"),
        ({"length_ms": 40}, "longer than its guards"),
        ({"length_ms": 8001}, "at most 8000 ms, not 8001"),
        ({"version": 0}, "1 to 65535, not 0"),
        ({"version": 65536}, "1 to 65535, not 65536"),
    ],
)
def test_a_slot_outside_the_plan_is_refused_with_the_bound(change: dict[str, int], cause: str) -> None:
    with pytest.raises(ValueOutOfRange, match=cause):
        replace(SLOT, **change)


def test_the_grid_is_that_of_the_quantum() -> None:
    assert SLOT.on_grid(4)
    assert not SLOT.on_grid(5)
