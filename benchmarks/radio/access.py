"""When meters send, once in every 900 s: at any time, or in the slot that the allocator has given them."""

from dataclasses import dataclass

import numpy as np

from benchmarks.radio.air import FASTEST, Floats, Frames, Integers
from benchmarks.radio.sites import CHANNELS, Meters, airtimes, faded
from meterwire.slots import FRAME_S


@dataclass(frozen=True)
class Plan:
    """Per meter: its channel and when in the frame of 900 s its slot begins; the guard in seconds.

    `beacons`: when in the frame the concentrator sends for all, as (begin, end) in seconds. It is deaf meanwhile.
    """

    channel: Integers
    phase_s: Floats
    guard_s: float
    beacons: tuple[tuple[float, float], ...]

    def __len__(self) -> int:
        return len(self.phase_s)

    def first(self, count: int) -> "Plan":
        return Plan(self.channel[:count], self.phase_s[:count], self.guard_s, self.beacons)

    def sending(self, periods: int) -> list[tuple[float, float]]:
        """The spans of so many frames in which the concentrator hears nothing."""
        return [
            (period * FRAME_S + begin, period * FRAME_S + end)
            for period in range(periods)
            for begin, end in sorted(self.beacons)
        ]


def unslotted(meters: Meters, size: int, periods: int, rng: np.random.Generator) -> Frames:
    """Each meter sends `size` octets once a period, at any time, on any channel; frames in order of (period, meter)."""
    count = len(meters)
    start = (rng.random((periods, count)) + np.arange(periods)[:, None]) * FRAME_S
    return _frames(meters, size, start, rng.integers(0, CHANNELS, periods * count), rng)


def slotted(meters: Meters, size: int, plan: Plan, errors: Floats, rng: np.random.Generator) -> Frames:
    """Each meter sends `size` octets in its slot, `errors` (periods, adapters; seconds) late; order (period, meter).

    Unless there are as many adapters in `errors` as meters, each meter has any of them.
    """
    periods, adapters = errors.shape
    late = errors if adapters == len(meters) else errors[:, rng.integers(0, adapters, len(meters))]
    start = np.arange(periods)[:, None] * FRAME_S + plan.phase_s + plan.guard_s + late
    return _frames(meters, size, start, np.tile(plan.channel, periods), rng)


def _frames(meters: Meters, size: int, start: Floats, channel: Integers, rng: np.random.Generator) -> Frames:
    periods = len(start)
    spreading_factor = np.tile(meters.spreading_factor, periods)
    airtime = airtimes(size)[spreading_factor - FASTEST]
    power = faded(np.tile(meters.power_dbm, periods), rng)
    return Frames(start.ravel(), start.ravel() + airtime, channel, spreading_factor, power)
