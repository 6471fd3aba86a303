"""A gateway's receiver: collisions, capture, demodulators, deafness, and the ALOHA formula as a check of it all."""

import heapq
import math

import pytest

from adapter_agent.simulation.noise import uniform
from adapter_agent.simulation.physics import NO_CAPTURE, Signal
from adapter_agent.simulation.reception import Fate, ReceiveChannel, Receiver
from meterwire.lorawan.airtime import airtime_s

FIRST, SECOND = 868_100_000, 868_300_000
CHANNELS = (ReceiveChannel(FIRST), ReceiveChannel(SECOND), ReceiveChannel(SECOND, 250_000, 7))


def signal(
    start: float, end: float, power: float = -80.0, *, sf: int = 7, frequency: int = FIRST, bandwidth: int = 125_000
) -> Signal:
    return Signal(start, end, frequency, sf, bandwidth, power)


def fates(receiver: Receiver, *signals: Signal) -> list[Fate]:
    """What becomes of the signals, told in the order in which a radio would meet them."""
    events = sorted(
        [(one.start, 1, number) for number, one in enumerate(signals)]
        + [(one.end, 0, number) for number, one in enumerate(signals)]
    )
    found: dict[int, Fate] = {}
    for _, begins, number in events:
        if begins:
            receiver.begin(signals[number])
        else:
            found[number] = receiver.finish(signals[number])
    return [found[number] for number in range(len(signals))]


def test_a_lone_signal_is_received() -> None:
    assert fates(Receiver(CHANNELS), signal(0, 1)) == [Fate.RECEIVED]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (-80.0, -80.0, (Fate.COLLIDED, Fate.COLLIDED)),
        (-80.0, -86.0, (Fate.RECEIVED, Fate.COLLIDED)),
        (-86.0, -80.0, (Fate.COLLIDED, Fate.RECEIVED)),
        (-80.0, -85.9, (Fate.COLLIDED, Fate.COLLIDED)),
    ],
)
def test_of_two_on_one_channel_the_stronger_is_captured_from_six_decibels_on(
    first: float, second: float, expected: tuple[Fate, Fate]
) -> None:
    assert tuple(fates(Receiver(CHANNELS), signal(0, 1, first), signal(0, 1, second))) == expected


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (-80.0, (Fate.RECEIVED, Fate.RECEIVED)),  # a tenth of the frame: 10 dB less
        (-76.0, (Fate.RECEIVED, Fate.RECEIVED)),
        (-75.9, (Fate.COLLIDED, Fate.RECEIVED)),
    ],
)
def test_frames_that_barely_touch_disturb_each_other_less(second: float, expected: tuple[Fate, Fate]) -> None:
    assert tuple(fates(Receiver(CHANNELS), signal(0, 1, -80.0), signal(0.9, 1.9, second))) == expected


def test_two_channels_and_two_spreading_factors_do_not_disturb_each_other() -> None:
    received = fates(
        Receiver(CHANNELS), signal(0, 1), signal(0, 1, frequency=SECOND), signal(0.1, 1.1, sf=9), signal(2, 3)
    )
    assert received == [Fate.RECEIVED] * 4


def test_a_signal_too_weak_to_be_heard_still_disturbs() -> None:
    receiver = Receiver(CHANNELS)
    assert fates(receiver, signal(0, 1, -126.5), signal(0.5, 1.5, -128.0)) == [Fate.COLLIDED, Fate.BELOW_SENSITIVITY]


@pytest.mark.parametrize(
    ("sf", "power", "expected"),
    [
        (7, -126.9, Fate.RECEIVED),
        (7, -127.2, Fate.BELOW_SENSITIVITY),
        (12, -139.4, Fate.RECEIVED),
        (12, -139.6, Fate.BELOW_SENSITIVITY),
    ],
)
def test_each_spreading_factor_has_its_own_limit(sf: int, power: float, expected: Fate) -> None:
    assert fates(Receiver(CHANNELS), signal(0, 1, power, sf=sf)) == [expected]


def test_a_frequency_or_bandwidth_that_nobody_listens_on_is_lost() -> None:
    receiver = Receiver(CHANNELS)
    assert fates(receiver, signal(0, 1, frequency=867_100_000)) == [Fate.OFF_CHANNEL]
    assert fates(receiver, signal(2, 3, bandwidth=250_000)) == [Fate.OFF_CHANNEL]
    assert fates(receiver, signal(4, 5, frequency=SECOND, bandwidth=250_000)) == [Fate.RECEIVED]
    assert fates(receiver, signal(6, 7, sf=8, frequency=SECOND, bandwidth=250_000)) == [Fate.OFF_CHANNEL]


def test_no_more_than_sixteen_frames_are_demodulated_at_once() -> None:
    plan = tuple(ReceiveChannel(867_100_000 + 200_000 * number) for number in range(8))
    crowd = [
        signal(number * 0.001, 3.0 + number * 0.001, -90.0, sf=sf, frequency=channel.frequency_hz)
        for number, (channel, sf) in enumerate((channel, sf) for sf in (8, 9, 10) for channel in plan)
    ]
    received = fates(Receiver(plan), *crowd)
    assert received[:16] == [Fate.RECEIVED] * 16
    assert received[16:] == [Fate.NO_DEMODULATOR] * 8
    assert fates(Receiver(plan, demodulators=24), *crowd) == [Fate.RECEIVED] * 24


def test_a_demodulator_is_free_again_when_its_frame_has_ended() -> None:
    receiver = Receiver(CHANNELS, demodulators=1)
    assert fates(receiver, signal(0, 1), signal(0.5, 1.5, frequency=SECOND), signal(1.1, 2.1)) == [
        Fate.RECEIVED,
        Fate.NO_DEMODULATOR,
        Fate.RECEIVED,
    ]


def test_demodulators_are_taken_at_the_end_of_the_preamble() -> None:
    # The slow one began first, but its preamble of 0.4 s ends after the quick one has locked.
    receiver = Receiver(CHANNELS, demodulators=1)
    assert fates(receiver, signal(0, 2, sf=12), signal(0.1, 1.1, frequency=SECOND)) == [
        Fate.NO_DEMODULATOR,
        Fate.RECEIVED,
    ]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 1.0, Fate.RECEIVED),
        (0.5, 1.5, Fate.DEAF),
        (1.2, 1.8, Fate.DEAF),
        (1.9, 2.9, Fate.DEAF),
        (2.0, 3.0, Fate.RECEIVED),
    ],
)
def test_a_gateway_that_sends_hears_nothing_on_any_channel(start: float, end: float, expected: Fate) -> None:
    receiver = Receiver(CHANNELS)
    receiver.sending(1.0, 2.0)
    assert fates(receiver, signal(start, end, frequency=SECOND)) == [expected]


def test_it_forgets_what_can_no_longer_matter() -> None:
    receiver = Receiver(CHANNELS)
    for second in range(1000):
        receiver.sending(second + 0.5, second + 0.6)
        fates(receiver, signal(second, second + 0.4), signal(second + 0.1, second + 0.45, frequency=SECOND))
    assert len(receiver._air) + len(receiver._open) + len(receiver._waiting) + len(receiver._unserved) == 0
    assert len(receiver._own) <= 2


@pytest.mark.parametrize("load", [0.02, 0.1, 0.3])
def test_unslotted_aloha_loses_what_the_formula_says(load: float) -> None:
    """One channel, one spreading factor, no capture: loss 1 - exp(-2G) for a traffic of G frames per airtime."""
    length, frames = airtime_s(29, 5), 12_000
    span = frames * length / load
    starts = sorted(span * uniform(5, "aloha", str(load), number) for number in range(frames))
    receiver = Receiver(CHANNELS, demodulators=10_000, rejection=NO_CAPTURE)
    ends: list[tuple[float, int, Signal]] = []
    lost = 0
    for number, start in enumerate(starts):
        while ends and ends[0][0] <= start:
            lost += receiver.finish(heapq.heappop(ends)[2]) is not Fate.RECEIVED
        one = signal(start, start + length, -100.0)
        receiver.begin(one)
        heapq.heappush(ends, (one.end, number, one))
    lost += sum(receiver.finish(one) is not Fate.RECEIVED for _, _, one in sorted(ends))
    assert lost / frames == pytest.approx(1 - math.exp(-2 * load), rel=0.06, abs=0.002)
