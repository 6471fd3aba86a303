"""The transmit queue of a gateway refuses what the reference refuses, around the counter's wrap too."""

import pytest

from adapter_agent.simulation.gateway import COUNTER_RANGE
from adapter_agent.simulation.jit import (
    HAND_OVER_US,
    IMMEDIATE_US,
    MARGIN_US,
    MAX_ADVANCE_US,
    MAX_QUEUED,
    START_DELAY_US,
    JitQueue,
    Refusal,
)

LEAST = START_DELAY_US + MARGIN_US + HAND_OVER_US
AIRTIME = 50_000


@pytest.mark.parametrize("now", [0, 1_000_000, COUNTER_RANGE - 10, COUNTER_RANGE - 500_000])
@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        (LEAST + 1, None),
        (LEAST, Refusal.TOO_LATE),
        (0, Refusal.TOO_LATE),
        (1_000_000, None),
        (MAX_ADVANCE_US, None),
        (MAX_ADVANCE_US + 1, Refusal.TOO_EARLY),
        (-1, Refusal.TOO_EARLY),  # the reference's unsigned arithmetic
    ],
)
def test_a_packet_must_come_in_time_and_not_too_far_ahead(now: int, ahead: int, expected: Refusal | None) -> None:
    assert JitQueue().enqueue(now, (now + ahead) % COUNTER_RANGE, AIRTIME) is expected


@pytest.mark.parametrize("now", [0, COUNTER_RANGE - 1_000_000])
@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (0, Refusal.COLLISION_PACKET),
        (AIRTIME, Refusal.COLLISION_PACKET),
        (AIRTIME + LEAST, Refusal.COLLISION_PACKET),
        (AIRTIME + LEAST + 1, None),
        (-AIRTIME - LEAST, Refusal.COLLISION_PACKET),
        (-AIRTIME - LEAST - 1, None),
    ],
)
def test_two_packets_may_not_overlap(now: int, offset: int, expected: Refusal | None) -> None:
    queue = JitQueue()
    assert queue.enqueue(now, (now + 1_000_000) % COUNTER_RANGE, AIRTIME) is None
    assert queue.enqueue(now, (now + 1_000_000 + offset) % COUNTER_RANGE, AIRTIME) is expected


def test_a_full_queue_is_reported_as_a_collision() -> None:
    queue = JitQueue()
    for number in range(MAX_QUEUED):
        assert queue.enqueue(0, 1_000_000 + number * 200_000, AIRTIME) is None
    assert queue.enqueue(0, 100_000_000, AIRTIME) is Refusal.COLLISION_PACKET
    assert queue.enqueue(1_200_000, 100_000_000, AIRTIME) is None  # the first one has been sent meanwhile


def test_an_immediate_packet_goes_in_a_second_or_behind_what_is_queued() -> None:
    queue = JitQueue()
    assert queue.soonest(0, AIRTIME) == IMMEDIATE_US
    queue.enqueue(0, IMMEDIATE_US + 20_000, AIRTIME)
    behind = queue.soonest(0, AIRTIME)
    assert behind > IMMEDIATE_US + 20_000 + AIRTIME
    assert queue.enqueue(0, behind, AIRTIME) is None


def test_an_immediate_packet_passes_over_gaps_that_are_too_narrow() -> None:
    queue = JitQueue()
    for at in (1_000_000, 1_150_000, 1_300_000, 2_000_000):
        assert queue.enqueue(0, at, AIRTIME) is None
    at = queue.soonest(0, 300_000)
    assert 1_300_000 < at < 2_000_000
    assert queue.enqueue(0, at, 300_000) is None
    assert len(queue) == 5
