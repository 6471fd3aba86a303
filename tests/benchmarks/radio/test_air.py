"""The vectorised air agrees with the simulation's receiver frame by frame, and with the ALOHA formula."""

from dataclasses import replace

import numpy as np
import pytest

from adapter_agent.simulation.physics import NO_CAPTURE, Signal
from adapter_agent.simulation.reception import Fate, ReceiveChannel, Receiver
from benchmarks.radio.air import BANDWIDTH_HZ, Frames, received
from benchmarks.radio.aloha import aloha_error

FREQUENCIES = (868_100_000, 868_300_000, 868_500_000)


def crowd(seed: int, count: int, span: float) -> Frames:
    """Frames of all spreading factors on three channels, some too weak, many on top of each other."""
    rng = np.random.default_rng(seed)
    spreading_factor = rng.integers(7, 13, count)
    start = rng.random(count) * span
    airtime = 0.05 * 2.0 ** (spreading_factor - 7) * rng.uniform(0.8, 1.2, count)
    return Frames(start, start + airtime, rng.integers(0, 3, count), spreading_factor, rng.uniform(-135, -95, count))


def judged(frames: Frames, receiver: Receiver) -> list[bool]:
    """What the simulation's own receiver makes of `frames`, told in the order in which a radio would meet them."""
    signals = [
        Signal(start, end, FREQUENCIES[channel], sf, BANDWIDTH_HZ, power)
        for start, end, channel, sf, power in zip(
            frames.start.tolist(),
            frames.end.tolist(),
            frames.channel.tolist(),
            frames.spreading_factor.tolist(),
            frames.power_dbm.tolist(),
            strict=True,
        )
    ]
    events = [(one.start, True, number) for number, one in enumerate(signals)]
    events += [(one.end, False, number) for number, one in enumerate(signals)]
    fates: dict[int, Fate] = {}
    for _, begins, number in sorted(events):
        if begins:
            receiver.begin(signals[number])
        else:
            fates[number] = receiver.finish(signals[number])
    return [fates[number] is Fate.RECEIVED for number in range(len(signals))]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("demodulators", [1, 3, 16])
def test_the_simulations_receiver_hears_the_same_frames(seed: int, demodulators: int) -> None:
    frames = crowd(seed, 150, span=4.0 + 6 * seed)
    sending = [(1.0, 1.2), (3.5, 4.1), (9.0, 9.05)]
    receiver = Receiver(tuple(map(ReceiveChannel, FREQUENCIES)), demodulators=demodulators)
    for span in sending:
        receiver.sending(*span)
    heard = received(frames, sending=sending, demodulators=demodulators)
    assert heard.tolist() == judged(frames, receiver)
    assert 0 < heard.sum() < len(frames)


@pytest.mark.parametrize("seed", range(4))
def test_it_does_so_without_capture_too(seed: int) -> None:
    frames = crowd(seed, 100, span=20.0)
    receiver = Receiver(tuple(map(ReceiveChannel, FREQUENCIES)), rejection=NO_CAPTURE)
    assert received(frames, rejection=NO_CAPTURE).tolist() == judged(frames, receiver)


def test_unslotted_frames_without_capture_are_lost_as_the_aloha_formula_says() -> None:
    assert aloha_error(frames=2_000_000) < 0.01


def test_the_order_in_which_frames_are_told_does_not_matter() -> None:
    frames = crowd(3, 200, span=10.0)
    order = np.random.default_rng(0).permutation(len(frames))
    shuffled = Frames(
        frames.start[order],
        frames.end[order],
        frames.channel[order],
        frames.spreading_factor[order],
        frames.power_dbm[order],
    )
    assert received(shuffled).tolist() == received(frames)[order].tolist()


def test_a_frame_alone_on_the_air_is_heard_unless_the_concentrator_sends() -> None:
    frame = Frames(np.array([1.0]), np.array([1.1]), np.array([0]), np.array([7]), np.array([-100.0]))
    assert received(frame).tolist() == [True]
    assert received(frame, sending=[(0.0, 1.0), (1.1, 2.0)]).tolist() == [True]
    assert received(frame, sending=[(0.0, 0.1), (1.09, 2.0)]).tolist() == [False]
    assert received(replace(frame, power_dbm=np.array([-127.1]))).tolist() == [False]
