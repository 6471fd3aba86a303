"""The plans that are simulated: filled to the last place, without overlap, beside beacon and reserve."""

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.radio.access import Plan
from benchmarks.radio.clocks import sending_errors
from benchmarks.radio.delivery import slotted_readings
from benchmarks.radio.planning import GUARD_MS, RESERVE, fill, overfill
from benchmarks.radio.sites import CHANNELS, DENSE, FAR, MIXED, Meters, Site, deploy
from meterwire.slots import FRAME_S, Kind, length_ms

MINUTES = 2  # of the frame: enough to see everything, and quick


def filled(site: Site) -> tuple[Meters, Plan]:
    meters = deploy(site, 20_000, np.random.default_rng(1))
    plan = fill(meters, Kind.VALUES.size, minutes=MINUTES)
    return meters.first(len(plan)), plan


def lengths_s(meters: Meters) -> list[float]:
    return [length_ms(Kind.VALUES.size, 12 - sf, GUARD_MS) / 1000 for sf in meters.spreading_factor.tolist()]


@pytest.mark.parametrize("site", [DENSE, MIXED, FAR])
def test_no_two_slots_overlap_and_none_meets_the_beacon(site: Site) -> None:
    meters, plan = filled(site)
    lengths = np.array(lengths_s(meters))
    for channel in range(CHANNELS):
        there = plan.channel == channel
        spans = sorted(zip(plan.phase_s[there], (plan.phase_s + lengths)[there], strict=True))
        assert all(end <= begin + 1e-9 for (_, end), (begin, _) in pairwise([*plan.beacons, *spans]))
        assert spans[-1][1] <= MINUTES * 60


def test_a_full_plan_leaves_the_reserve_and_little_else() -> None:
    meters, plan = filled(DENSE)
    beacon = sum(end - begin for begin, end in plan.beacons)
    free = 1 - (sum(lengths_s(meters)) + CHANNELS * beacon) / (CHANNELS * MINUTES * 60)
    assert 0 <= free < RESERVE + 0.02


def test_nearly_all_readings_of_a_full_plan_arrive() -> None:
    rng = np.random.default_rng(2)
    meters, plan = filled(MIXED)
    arrived = slotted_readings(MIXED, meters, Kind.VALUES.size, plan, sending_errors(200, 10, rng), rng)
    assert arrived.shape == (10, len(plan))
    assert arrived.mean() > 0.999


def test_a_plan_in_which_clocks_are_off_by_more_than_the_guard_loses_readings() -> None:
    rng = np.random.default_rng(2)
    meters, plan = filled(MIXED)
    wrong = rng.normal(0, 0.2, (10, 200))
    assert slotted_readings(MIXED, meters, Kind.VALUES.size, plan, wrong, rng).mean() < 0.95


def test_foreign_traffic_takes_what_the_previous_value_brings_back() -> None:
    rng = np.random.default_rng(3)
    meters, plan = filled(MIXED)
    late = sending_errors(200, 20, rng)
    some = MIXED, meters, Kind.VALUES.size, plan, late, rng
    without = slotted_readings(*some, erlang=0.05).mean()
    assert without < 0.996
    assert slotted_readings(*some, erlang=0.05, previous=True).mean() > without + 0.003


@pytest.mark.parametrize("site", [DENSE, MIXED, FAR])
def test_a_fifth_more_than_fit_arrive_too_and_nobody_is_moved(site: Site) -> None:
    rng = np.random.default_rng(1)
    meters, plan, count = overfill(deploy(site, 20_000, rng), Kind.VALUES.size, 0.2, rng, minutes=1)
    known = fill(meters.first(count), Kind.VALUES.size, minutes=1)
    assert len(plan) == len(meters) == count + round(0.2 * count)
    assert plan.first(count).phase_s.tolist() == known.phase_s.tolist()
    assert (plan.phase_s < FRAME_S).all()
    arrived = slotted_readings(site, meters, Kind.VALUES.size, plan, sending_errors(200, 30, rng), rng)
    assert arrived.mean() > 0.99
    assert arrived.mean(axis=0).min() > 0.75  # of 30; chance takes some of one or another of thousands


def test_only_who_came_too_late_gets_a_slower_rate() -> None:
    rng = np.random.default_rng(1)
    wished = deploy(DENSE, 20_000, rng)
    meters, _, count = overfill(wished, Kind.VALUES.size, 0.1, rng, minutes=1)
    slower = meters.spreading_factor - wished.first(len(meters)).spreading_factor
    assert not slower[:count].any()
    assert (slower[count:] >= 0).all()
    assert slower[count:].mean() > 0.5
