"""What the allocator promises: no meeting, nothing moved, room reused, the reserve kept, and clear refusals."""

import random

import pytest

from benchmarks.slot_judge import conflicts
from meterwire.errors import ValueOutOfRange
from meterwire.slots import QUANTA_MS, Kind, length_ms
from provisioning.slots.allocator import Allocator, Changed, Closed, Outcome, Place, SlotHeld, Stored, reserved

METER = length_ms(Kind.VALUES, 5, 20)
SLOW = length_ms(Kind.VALUES, 0, 20)
LENGTHS = [length_ms(Kind.VALUES, data_rate, 20) for data_rate in range(5, -1, -1)]
GUARDED = [length_ms(Kind.VALUES, data_rate, 200) for data_rate in range(5, -1, -1)]  # a third as many fit
PERIODS = (60, 300, 900, 3600, 86400)


def filled(allocator: Allocator, length: int, period: int = 900, concentrator: str = "c") -> int:
    """How many fit; they are named (concentrator, number)."""
    number = 0
    while allocator.add((concentrator, number), concentrator, length, period) is not None:
        number += 1
    return number


@pytest.fixture(scope="module")
def full() -> Allocator:
    allocator = Allocator()
    assert filled(allocator, METER) > 60_000
    return allocator


class TestRoom:
    def test_the_first_meter_begins_the_frame_and_the_next_one_follows_it(self) -> None:
        allocator = Allocator()
        assert allocator.add("a", "c", METER) == Place(0, 0)
        assert allocator.add("b", "c", METER) == Place(0, METER)

    @pytest.mark.parametrize("quantum", QUANTA_MS)
    def test_in_every_quantum_a_full_concentrator_has_as_many_as_its_minutes_hold(self, quantum: int) -> None:
        length = -(-SLOW // quantum) * quantum
        minute, short = 60_000 // length, (60_000 - 7500) // length
        assert filled(Allocator(quantum), length) == 8 * (12 * minute + 3 * short)

    @pytest.mark.parametrize(("period", "times"), [(3600, 4), (86400, 96)])
    def test_longer_periods_take_turns_in_the_same_place(self, period: int, times: int) -> None:
        allocator = Allocator(10, reserve=0)
        places = [allocator.add(n, "c", METER, period) for n in range(times)]
        assert {*places} == {Place(0, n * 900_000) for n in range(times)}
        assert allocator.add(times, "c", METER, period) == Place(0, -(-METER // 10) * 10)

    def test_hours_and_days_share_places(self) -> None:
        allocator = Allocator(reserve=0)
        for n in range(3):
            allocator.add(n, "c", METER, 3600)
        fill = allocator.fill("c")
        for n in range(24):
            allocator.add(("day", n), "c", METER, 86400)
        assert allocator.fill("c") == fill
        held = [(n, "c", METER, 3600, ()) for n in range(3)] + [(("day", n), "c", METER, 86400, ()) for n in range(24)]
        assert conflicts(allocator, held) == 0

    def test_what_is_freed_is_given_to_the_next_one_of_that_length(self, full: Allocator) -> None:
        place = full.place(("c", 4711))
        full.remove(("c", 4711))
        assert full.add(("c", 4711), "c", METER) == place
        assert full.add("more", "c", METER) is None

    def test_meters_of_a_minute_find_room_until_the_concentrator_is_nearly_full(self) -> None:
        draw, allocator = random.Random(5), Allocator()
        held: list[tuple[int, str, int, int, tuple[str, ...]]] = []
        while True:
            period = draw.choices(PERIODS, (0.005, 0.015, 0.7, 0.18, 0.1))[0]
            length = draw.choices(GUARDED, (0.712, 0.091, 0.073, 0.058, 0.042, 0.024))[0]
            if allocator.add(len(held), "c", length, period) is None:
                break
            held.append((len(held), "c", length, period, ()))
        assert allocator.fill("c") > 0.95
        assert conflicts(allocator, held) == 0


class TestClosedTime:
    def test_the_reserve_is_the_end_of_every_fifth_minute(self) -> None:
        assert reserved(0.025) == Closed(292_500, 300, 7500)
        assert reserved(0) is None

    def test_the_minutes_that_end_with_it_are_taken_when_the_others_of_six_channels_are_full(self) -> None:
        allocator, each = Allocator(10), 5000
        places = [allocator.add(number, "c", each) for number in range(6 * 12 * 12 + 1)]
        taken = [place.phase_ms % 300_000 >= 240_000 for place in places if place is not None]
        assert taken == [False] * (6 * 12 * 12) + [True]

    def test_short_periods_take_them_later_too(self) -> None:
        allocator = Allocator(10)
        places = [allocator.add(number, "c", 5000, 300) for number in range(4 * 6)]
        assert all(place is not None and place.phase_ms < 240_000 for place in places)
        assert filled(allocator, 5000, 300, "d") == 8 * (4 * 12 + 10), "and leave nothing unused"

    def test_slots_keep_out_of_reserve_beacon_and_downlinks(self) -> None:
        closed = (Closed(0, 900, 1330), Closed(10_000, 60, 400))
        allocator = Allocator(10, 0.02, closed[0], closed[1:])
        number = filled(allocator, 1000, 60)
        assert number == 8 * (8 + 43)  # from 1.33 to 10, and from 10.4 to 54 s of the minute
        begins = {allocator.place(("c", n)).phase_ms for n in range(number)}
        assert all(1330 <= begin <= 9000 or 10_400 <= begin <= 53_000 for begin in begins)

    @pytest.mark.parametrize(
        ("phase", "period", "length", "cause"),
        [
            (0, 3600, 100, "every 60, 300 or 900 s, not every 3600 s"),
            (60_000, 60, 100, "begins in its period of 60 s, not at 60000 ms"),
            (-1, 60, 100, "not at -1 ms"),
            (59_000, 60, 1001, "must end within the minute"),
            (0, 60, 0, "closed time of 0 ms"),
        ],
    )
    def test_other_closed_time_is_refused(self, phase: int, period: int, length: int, cause: str) -> None:
        with pytest.raises(ValueOutOfRange, match=cause):
            Closed(phase, period, length)

    @pytest.mark.parametrize("share", [-0.01, 0.11])
    def test_a_reserve_outside_its_bounds_is_refused(self, share: float) -> None:
        with pytest.raises(ValueOutOfRange, match="reserve is 0 to 10%"):
            Allocator(reserve=share)


class TestNeighbours:
    def test_two_that_only_a_third_concentrator_hears_share_a_time(self) -> None:
        allocator = Allocator()
        assert allocator.add("a", "left", METER, heard=("middle",)) == Place(0, 0)
        assert allocator.add("b", "right", METER, heard=("middle",)) == Place(0, 0)
        assert allocator.add("c", "middle", METER) == Place(0, METER)

    def test_the_time_stays_taken_until_the_last_of_them_is_gone(self) -> None:
        allocator = Allocator()
        allocator.add("a", "left", METER, heard=("middle",))
        allocator.add("b", "right", METER, heard=("middle",))
        allocator.remove("a")
        assert allocator.add("c", "middle", METER) == Place(0, METER)
        allocator.remove("b")
        assert allocator.add("d", "middle", SLOW) == Place(0, 60_000)
        allocator.remove("c")
        assert allocator.add("e", "middle", METER) == Place(0, 0)

    def test_one_heard_where_another_is_served_keeps_out_of_its_way(self) -> None:
        allocator = Allocator()
        allocator.add("served", "middle", METER)
        assert allocator.add("a", "left", METER, heard=("middle", "left")) == Place(0, METER)

    def test_a_new_neighbour_moves_nobody_and_tells_of_the_meeting(self) -> None:
        allocator = Allocator()
        allocator.add("a", "left", METER)
        allocator.add("b", "right", METER)
        assert allocator.hear("a", "middle")
        assert not allocator.hear("a", "right")
        assert allocator.place("a") == allocator.place("b") == Place(0, 0)
        assert allocator.add("c", "right", METER) == Place(0, METER)

    def test_no_turn_is_given_in_a_place_that_a_new_neighbour_disturbs(self) -> None:
        allocator = Allocator()
        allocator.add("a", "left", METER)
        assert allocator.add("hour", "right", METER, 3600) == Place(0, 0)
        assert not allocator.hear("a", "right")
        assert allocator.add("another hour", "right", METER, 3600) == Place(0, METER)

    def test_a_neighbourhood_that_churns_has_no_conflict(self) -> None:
        draw, allocator = random.Random(11), Allocator()
        held: dict[int, tuple[int, int, int, tuple[int, ...]]] = {}
        for number in range(6000):
            if len(held) > 2000:
                gone = draw.choice(list(held))
                allocator.remove(gone)
                del held[gone]
            entry = (
                draw.randrange(12),
                draw.choices(LENGTHS, (0.5, 0.1, 0.1, 0.1, 0.1, 0.1))[0],
                draw.choices(PERIODS, (0.02, 0.03, 0.7, 0.15, 0.1))[0],
                tuple(draw.sample(range(12), 3)),
            )
            assert allocator.add(number, *entry) is not None
            held[number] = entry
        assert conflicts(allocator, ((number, *entry) for number, entry in held.items())) == 0


class TestChange:
    def test_a_longer_slot_stays_near_the_old_phase(self) -> None:
        allocator = Allocator()
        filled_to = 40_000
        for n in range(filled_to):
            allocator.add(n, "c", METER)
        before = allocator.place(20_000).phase_ms
        outcome, place = allocator.change(20_000, SLOW)
        assert outcome is Outcome.KEPT
        assert abs(place.phase_ms - before) <= 1800

    @pytest.mark.parametrize("period", PERIODS)
    def test_every_period_keeps_its_turn(self, period: int) -> None:
        allocator = Allocator()
        for n in range(3):
            allocator.add(n, "c", METER, period)
        before = allocator.place(2)
        outcome, place = allocator.change(2, SLOW)
        assert outcome is Outcome.KEPT
        assert abs(place.phase_ms - before.phase_ms) <= 1800

    def test_without_room_the_old_slot_is_still_held(self, full: Allocator) -> None:
        place = full.place(("c", 100))
        assert full.change(("c", 100), SLOW) == Changed(Outcome.FULL, place)
        assert full.place(("c", 100)) == place

    def test_out_of_reach_it_moves(self) -> None:
        allocator = Allocator(10, reserve=0)
        for channel in range(8):
            for begin in range(0, 60_000, 7500):
                name, place = (channel, begin), Place(channel, begin)
                assert allocator.load([Stored(name, "c", place, 7500, 900)]) == []
        outcome, place = allocator.change((3, 30_000), 8000)
        assert outcome is Outcome.MOVED
        assert place.phase_ms >= 60_000


class TestLeastOverlap:
    def test_with_room_nothing_is_met(self) -> None:
        allocator = Allocator()
        assert allocator.least_overlap("a", "c", METER) == (Place(0, 0), 0.0)

    def test_without_room_the_least_is_met_and_others_share_the_burden(self, full: Allocator) -> None:
        met = [full.least_overlap(("over", n), "c", METER) for n in range(20)]
        assert all(0 < overlap_ms <= METER for _, overlap_ms in met)
        assert len({place for place, _ in met}) == 20
        for n in range(20):
            full.remove(("over", n))
        assert full.add("more", "c", METER) is None

    def test_the_gap_that_nearly_fits_is_found(self) -> None:
        allocator = Allocator(10, reserve=0)
        filled(allocator, 8000)  # leaves 4 s at the end of each minute
        place, met_ms = allocator.least_overlap("a", "c", 5000)
        assert met_ms == 1000
        assert place.phase_ms % 60_000 == 55_000

    def test_rare_telegrams_meet_others_rarely(self, full: Allocator) -> None:
        _, often = full.least_overlap("frame", "c", SLOW)
        _, seldom = full.least_overlap("day", "c", SLOW, 86400)
        full.remove("frame")
        full.remove("day")
        assert 0 < seldom < often / 40


class TestLoading:
    def test_what_was_stored_is_held_at_its_place(self) -> None:
        before, draw = Allocator(), random.Random(3)
        entries: list[Stored] = []
        for n in range(3000):
            concentrator, length, period = draw.randrange(5), draw.choice(LENGTHS[:3]), draw.choice(PERIODS)
            heard = (draw.randrange(5),)
            place = before.add(n, concentrator, length, period, heard)
            assert place is not None
            entries.append(Stored(n, concentrator, place, length, period, heard))
        draw.shuffle(entries)
        after = Allocator()
        assert after.load(entries) == []
        assert all(after.place(entry.device) == entry.place for entry in entries)
        for entry in entries:
            after.remove(entry.device)
        assert [after.fill(c) for c in range(5)] == [0.0] * 5

    def test_conflicts_of_a_restored_backup_are_named_and_nothing_is_lost(self) -> None:
        allocator = Allocator()
        stored = [
            Stored("a", "c", Place(0, 0), METER, 900),
            Stored("b", "c", Place(0, 50), METER, 900),
            Stored("reserve", "c", Place(1, 299_000), METER, 900),
            Stored("other hour", "c", Place(2, 0), METER, 3600),
            Stored("same hour", "c", Place(2, 0), METER, 3600),
        ]
        assert allocator.load(stored) == ["b", "reserve", "same hour"]
        assert allocator.place("b") == Place(0, 50)
        allocator.remove("a")
        assert allocator.add("d", "c", METER) == Place(0, 50 + METER)
        allocator.remove("b")
        assert allocator.add("e", "c", METER) != allocator.place("d")

    def test_a_place_off_the_grid_takes_all_quanta_it_touches(self) -> None:
        allocator = Allocator(10)
        assert allocator.load([Stored("a", "c", Place(0, 5), 100, 900), Stored("b", "c", Place(0, 105), 5, 900)]) == [
            "b"
        ]

    @pytest.mark.parametrize(
        ("place", "cause"),
        [
            (Place(8, 0), "channel 8, 0 ms is no place"),
            (Place(0, 900_000), "no place in a period of 900 s"),
            (Place(0, -1), "no place"),
            (Place(0, 59_990), "crosses the end of a minute"),
        ],
    )
    def test_a_place_outside_the_plan_is_refused(self, place: Place, cause: str) -> None:
        with pytest.raises(ValueOutOfRange, match=cause):
            Allocator().load([Stored("a", "c", place, METER, 900)])


class TestBadInput:
    @pytest.mark.parametrize("quantum", [0, 1, 7, 9, 11, -2])
    def test_a_quantum_outside_the_plan_is_refused(self, quantum: int) -> None:
        with pytest.raises(ValueOutOfRange, match="a quantum is one of 2, 3, 4, 5, 6, 8, 10 ms"):
            Allocator(quantum)

    @pytest.mark.parametrize("period", [0, 30, 600, 1800, 172_800])
    def test_a_period_outside_the_plan_is_refused_and_holds_nothing(self, period: int) -> None:
        allocator = Allocator()
        with pytest.raises(ValueOutOfRange, match="one of 60, 300, 900, 3600, 86400 s"):
            allocator.add("a", "c", METER, period)
        assert "a" not in allocator

    @pytest.mark.parametrize("length", [0, -1, 8001])
    def test_a_length_outside_the_plan_is_refused_and_a_change_to_it_keeps_the_slot(self, length: int) -> None:
        allocator = Allocator()
        with pytest.raises(ValueOutOfRange, match="1 to 8000 ms"):
            allocator.add("a", "c", length)
        place = allocator.add("a", "c", METER)
        with pytest.raises(ValueOutOfRange, match="1 to 8000 ms"):
            allocator.change("a", length)
        assert allocator.place("a") == place

    def test_a_device_has_one_slot(self) -> None:
        allocator = Allocator()
        allocator.add("a", "c", METER)
        with pytest.raises(SlotHeld, match="a has a slot already"):
            allocator.add("a", "other", METER)
        with pytest.raises(SlotHeld, match="b has no slot"):
            allocator.remove("b")
        with pytest.raises(SlotHeld, match="b has no slot"):
            allocator.change("b", METER)
