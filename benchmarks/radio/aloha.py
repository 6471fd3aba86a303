"""The check of the whole air against a formula: unslotted and without capture, 1 - exp(-2G) of all frames are lost."""

from typing import Final

import numpy as np

from adapter_agent.simulation.physics import NO_CAPTURE
from benchmarks.radio.air import FASTEST, Frames, received
from benchmarks.radio.sites import CHANNELS, airtimes

LOADS: Final = (0.05, 0.1, 0.2, 0.4)  # G: Erlang per channel
SIZE: Final = 16


def aloha_error(frames: int) -> float:
    """The largest relative difference between simulated loss and 1 - exp(-2G), unslotted and without capture.

    Each load sends `frames` of SF7 over eight channels, with a demodulator for every one.
    """
    airtime = float(airtimes(SIZE)[0])
    errors = []
    for number, load in enumerate(LOADS):
        rng = np.random.default_rng(number)
        start = rng.random(frames) * frames * airtime / load / CHANNELS
        crowd = Frames(
            start,
            start + airtime,
            rng.integers(0, CHANNELS, frames),
            np.full(frames, FASTEST),
            np.full(frames, -100.0),
        )
        lost = 1 - received(crowd, demodulators=None, rejection=NO_CAPTURE).mean()
        errors.append(abs(lost / (1 - np.exp(-2 * load)) - 1))
    return float(max(errors))
