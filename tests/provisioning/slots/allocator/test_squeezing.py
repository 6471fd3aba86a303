"""What comes when a concentrator is full, judged by the physics of the simulated air."""

from collections.abc import Iterator
from math import inf, nan
from typing import NamedTuple

import pytest

from adapter_agent.simulation.physics import (
    GATEWAY_NOISE_FIGURE_DB,
    REJECTION_DB,
    sensitivity_dbm,
    survives,
)
from adapter_agent.simulation.physics import (
    Signal as Sent,
)
from meterwire.errors import ValueOutOfRange
from meterwire.slots import Kind, airtime_ms, length_ms
from provisioning.slots.allocator import Allocator, Closed, Place, Rate, Signal, SlotHeld, Stored
from provisioning.slots.allocator import signal as tables

GUARD_MS = 20
ELSEWHERE = [Closed(5000, 900, 55_000), *(Closed(minute * 60_000, 900, 60_000) for minute in range(1, 15))]


class Placed(NamedTuple):
    place: Place
    signal: Signal

    @property
    def sent(self) -> Sent:
        """Its frame as the air of the simulation has it."""
        begin = (self.place.phase_ms + self.signal.guard_ms) / 1000
        airtime = airtime_ms(Kind.VALUES, 12 - self.signal.spreading_factor) / 1000
        level = self.signal.level_dbm
        assert level is not None
        return Sent(begin, begin + airtime, self.place.channel * 200_000, self.signal.spreading_factor, 125_000, level)


def rate(spreading_factor: int, level_dbm: int | None) -> Rate:
    return Rate(length_ms(Kind.VALUES, 12 - spreading_factor, GUARD_MS), Signal(spreading_factor, level_dbm))


def rates(level_dbm: int | None, fastest: int = 7) -> list[Rate]:
    return [rate(spreading_factor, level_dbm) for spreading_factor in range(fastest, 13)]


def full_of(*levels_dbm: int, spreading_factor: int = 7) -> tuple[Allocator, list[Placed]]:
    """Five seconds on eight channels, full of slots of the same data rate whose levels take turns."""
    allocator = Allocator(reserve=0, downlinks=ELSEWHERE)
    placed: list[Placed] = []
    while True:
        wish = rate(spreading_factor, levels_dbm[len(placed) % len(levels_dbm)])
        place = allocator.add(len(placed), "c", wish.length_ms, signal=wish.signal)
        if place is None:
            return allocator, placed
        placed.append(Placed(place, wish.signal))


def squeezed(allocator: Allocator, wishes: list[Rate], count: int) -> Iterator[tuple[Placed, float]]:
    for number in range(count):
        one = allocator.squeeze(("new", number), "c", wishes)
        yield Placed(one.place, wishes[one.chosen].signal), one.margin_db


def unheard(placed: list[Placed]) -> list[Placed]:
    """Those that the simulation's receiver would lose, clocks exact and nothing fading."""
    sent = [one.sent for one in placed]
    return [
        one
        for one, frame in zip(placed, sent, strict=True)
        if not survives(frame, (other for other in sent if other is not frame))
    ]


def test_thresholds_and_sensitivities_are_those_of_the_simulation() -> None:
    for row, wanted in zip(tables.REJECTION_DB, range(7, 13), strict=True):
        assert dict(zip(range(7, 13), row, strict=True)) == REJECTION_DB[wanted]
        typical = Signal(wanted).milliwatts
        least = 10 ** (sensitivity_dbm(wanted, 125_000, GATEWAY_NOISE_FIGURE_DB) / 10)
        assert typical == pytest.approx(least * 10 ** (tables.TYPICAL_MARGIN_DB / 10))


def test_a_slower_rate_over_faster_slots_of_its_level_loses_nobody() -> None:
    allocator, placed = full_of(-110, -104, -97)
    new, margins = zip(*squeezed(allocator, rates(-107), len(placed) // 5), strict=True)
    assert {one.signal.spreading_factor for one in new} == {8}
    assert min(margins) >= 9
    assert unheard([*placed, *new]) == []


def test_the_same_spreading_factor_alone_always_loses_somebody() -> None:
    allocator, placed = full_of(-110, -104, -97)
    (new, margin_db), *_ = squeezed(allocator, [rate(7, -105)], 1)
    assert margin_db < 0
    assert unheard([*placed, new]) != []


def test_fast_frames_find_room_within_slow_ones() -> None:
    allocator, placed = full_of(-128, spreading_factor=12)
    new, margins = zip(*squeezed(allocator, rates(-115), 2 * len(placed)), strict=True)
    assert {one.signal.spreading_factor for one in new} == {7}
    assert min(margins) >= 9
    assert unheard([*placed, *new]) == []


def test_a_loud_one_goes_where_the_loud_ones_are() -> None:
    allocator, placed = full_of(*[-115] * 40, -60)
    loud = {one.place for one in placed if one.signal.level_dbm == -60}
    (new, margin_db), *_ = squeezed(allocator, rates(-62), 1)
    assert margin_db > 5
    met = {one.place for one in placed if one.sent.overlaps(new.sent)}
    assert met <= loud


def test_nobody_is_moved_and_the_newcomers_share_no_time() -> None:
    allocator, placed = full_of(-110)
    new = [one for one, _ in squeezed(allocator, rates(-112), len(placed) // 4)]
    assert [allocator.place(number) for number in range(len(placed))] == [one.place for one in placed]
    sent = [one.sent for one in new]
    assert not any(one.overlaps(other) for one in sent for other in sent if one is not other)


def test_a_free_slot_is_taken_before_any_is_shared() -> None:
    allocator, placed = full_of(-110)
    allocator.remove(17)
    found = allocator.squeeze("new", "c", rates(-110))
    assert (found.place, found.chosen, found.overlap_ms, found.margin_db) == (placed[17].place, 0, 0.0, inf)


def test_what_leaves_is_forgotten() -> None:
    allocator, _ = full_of(-110, -100)
    first = allocator.squeeze("new", "c", rates(-108))
    allocator.remove("new")
    assert allocator.squeeze("new", "c", rates(-108)) == first


def test_where_it_is_only_heard_it_spares_the_others_too() -> None:
    allocator, placed = full_of(-110)
    near = rate(7, -90)
    count = 0
    while allocator.add(("d", count), "d", near.length_ms, signal=near.signal) is not None:
        count += 1
    alone = allocator.squeeze("alone", "c", rates(-108))
    both = allocator.squeeze("both", "c", rates(-108), heard=["d"])
    assert both.overlap_ms > alone.overlap_ms
    assert both.margin_db > 5  # it is not known how loud it is there
    assert unheard([*placed, Placed(both.place, rates(-108)[both.chosen].signal)]) == []


def test_unknown_levels_count_as_typical() -> None:
    allocator = Allocator(reserve=0, downlinks=ELSEWHERE)
    while allocator.add(len(allocator), "c", rate(7, None).length_ms) is not None:
        pass
    found = allocator.squeeze("new", "c", rates(None))
    assert found.chosen > 0
    assert found.margin_db >= 9


@pytest.mark.parametrize("period_s", [60, 300, 900, 3600, 86400])
def test_every_period_finds_a_place_outside_closed_time(period_s: int) -> None:
    closed = Closed(20_000, 60, 5000)
    allocator = Allocator(10, 0, closed)
    number = 0
    while allocator.add(number, "c", 7000, 300) is not None:
        number += 1
    found = allocator.squeeze("new", "c", [Rate(1000, Signal(9, -110))], period_s)
    begin = found.place.phase_ms % 60_000
    assert begin + 1000 <= 20_000 or 25_000 <= begin <= 59_000


def test_turns_in_one_place_are_as_loud_as_the_loudest_and_as_faint_as_the_faintest() -> None:
    allocator = Allocator(reserve=0, downlinks=ELSEWHERE)
    length = rate(7, -80).length_ms
    turns = [
        Stored(row, "c", Place(0, row * 900_000), length, 86400, (), Signal(7, level))
        for row, level in enumerate((-60, -80, -110))
    ]
    assert allocator.load(turns) == []
    while allocator.add(len(allocator), "c", length, signal=Signal(7, -80)) is not None:
        pass
    for number in range(20):
        found = allocator.squeeze(("new", number), "c", [rate(8, -83)])
        assert found.margin_db >= 9
        assert found.place.channel != 0 or found.place.phase_ms >= length - 2 * GUARD_MS


@pytest.mark.parametrize(
    "signal",
    [Signal(6), Signal(13), Signal(7, -151), Signal(7, 21), Signal(7, nan), Signal(7, inf), Signal(7, -100, -1)],
)
def test_a_signal_that_no_radio_has_is_refused(signal: Signal) -> None:
    allocator = Allocator()
    with pytest.raises(ValueOutOfRange):
        allocator.add("a", "c", 108, signal=signal)
    assert len(allocator) == 0


def test_a_wish_without_a_data_rate_and_a_second_slot_are_refused() -> None:
    allocator = Allocator()
    with pytest.raises(ValueOutOfRange, match="data rate"):
        allocator.squeeze("a", "c", [])
    allocator.squeeze("a", "c", rates(-110))
    with pytest.raises(SlotHeld):
        allocator.squeeze("a", "c", rates(-110))


def test_a_changed_signal_counts_from_then_on() -> None:
    allocator, placed = full_of(*[-115] * 40, -60)
    wishes = rates(-62)
    quiet = allocator.squeeze("new", "c", wishes).margin_db
    allocator.remove("new")
    for number, one in enumerate(placed):
        if one.signal.level_dbm == -60:
            allocator.change(number, wishes[0].length_ms, signal=Signal(7, -115))
    assert allocator.squeeze("new", "c", wishes).margin_db < quiet - 10


def test_a_slot_longer_than_all_open_time_is_refused_and_says_why() -> None:
    allocator = Allocator(reserve=0, downlinks=[Closed(0, 60, 59_000)])
    assert allocator.add("short", "c", 200) is not None
    assert allocator.add("long", "c", 2000) is None
    with pytest.raises(ValueOutOfRange, match="no room for a slot of 2000 ms"):
        allocator.least_overlap("long", "c", 2000)
    assert "long" not in allocator
