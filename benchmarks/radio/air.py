"""The air of `adapter_agent.simulation` for millions of frames at once: overlap, rejection, demodulators, deafness."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from adapter_agent.simulation.physics import (
    GATEWAY_NOISE_FIGURE_DB,
    REJECTION_DB,
    preamble_s,
    sensitivity_dbm,
)
from adapter_agent.simulation.reception import DEMODULATORS

BANDWIDTH_HZ: Final = 125_000
FASTEST: Final = 7  # spreading factors are kept as they are, tables begin here
SPREADING_FACTORS: Final = range(FASTEST, 13)
SENSITIVITY_DBM: Final = np.array(
    [sensitivity_dbm(sf, BANDWIDTH_HZ, GATEWAY_NOISE_FIGURE_DB) for sf in SPREADING_FACTORS]
)
PREAMBLE_S: Final = np.array([preamble_s(sf, BANDWIDTH_HZ) for sf in SPREADING_FACTORS])

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]
Truths: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Frames:
    """Uplinks as one concentrator gets them: seconds, channel number, spreading factor 7 to 12, dBm.

    All have 125 kHz; channels do not touch each other.
    """

    start: Floats
    end: Floats
    channel: Integers
    spreading_factor: Integers
    power_dbm: Floats

    def __len__(self) -> int:
        return len(self.start)

    def __add__(self, other: "Frames") -> "Frames":
        """Both, these first."""
        return Frames(
            np.concatenate([self.start, other.start]),
            np.concatenate([self.end, other.end]),
            np.concatenate([self.channel, other.channel]),
            np.concatenate([self.spreading_factor, other.spreading_factor]),
            np.concatenate([self.power_dbm, other.power_dbm]),
        )


def received(
    frames: Frames,
    *,
    sending: Sequence[tuple[float, float]] = (),
    demodulators: int | None = DEMODULATORS,
    rejection: Mapping[int, Mapping[int, float]] = REJECTION_DB,
) -> Truths:
    """Which of `frames` the concentrator demodulates, exactly as `adapter_agent.simulation.reception.Receiver` would.

    `sending`: the spans (seconds, in order, not touching) in which it sends and is deaf on all channels.
    `demodulators` None: one for every frame.
    """
    strong = frames.power_dbm >= SENSITIVITY_DBM[frames.spreading_factor - FASTEST]
    heard = strong & ~_deaf(frames, sending) & _undisturbed(frames, rejection)
    if demodulators is not None:
        heard &= _served(frames, strong, sending, demodulators)
    return heard


def _undisturbed(frames: Frames, rejection: Mapping[int, Mapping[int, float]]) -> Truths:
    kinds = len(SPREADING_FACTORS)
    needed = np.array(
        [[10 ** (rejection[own][other] / 10) for other in SPREADING_FACTORS] for own in SPREADING_FACTORS]
    )
    milliwatts = 10 ** (frames.power_dbm / 10)
    kind = frames.spreading_factor - FASTEST
    interference = np.zeros(len(frames) * kinds)
    for channel in np.unique(frames.channel):
        there = np.flatnonzero(frames.channel == channel)
        earlier, later = (there[one] for one in _overlapping(frames.start[there], frames.end[there]))
        shared = np.minimum(frames.end[earlier], frames.end[later]) - frames.start[later]
        for wanted, other in ((earlier, later), (later, earlier)):
            energy = milliwatts[other] * shared
            interference += np.bincount(wanted * kinds + kind[other], weights=energy, minlength=len(interference))
    # Exactly as much stronger as needed is enough, whatever the rounding.
    limit = interference.reshape(-1, kinds) * needed[kind] * (1 - 1e-9)
    own = milliwatts * (frames.end - frames.start)
    return np.asarray((own[:, None] >= limit).all(axis=1))


def _overlapping(start: Floats, end: Floats) -> tuple[Integers, Integers]:
    """All pairs that are on the air at one instant: the indices of the earlier and of the later ones."""
    order = np.argsort(start, kind="stable")
    first = np.arange(len(order))
    partners = np.searchsorted(start[order], end[order], side="left") - first - 1
    earlier = np.repeat(first, partners)
    offset = np.arange(len(earlier)) - np.repeat(np.cumsum(partners) - partners, partners)
    return order[earlier], order[earlier + 1 + offset]


def _deaf(frames: Frames, sending: Sequence[tuple[float, float]]) -> Truths:
    if not sending:
        return np.zeros(len(frames), bool)
    begins, ends = np.array(sending).T
    # The only own transmission that can still be under way is the last one to begin before the frame's end.
    last = np.searchsorted(begins, frames.end, side="left") - 1
    return np.asarray((last >= 0) & (ends[last] > frames.start))


def _served(frames: Frames, strong: Truths, sending: Sequence[tuple[float, float]], demodulators: int) -> Truths:
    """Which find a free demodulator when their preamble ends, first come first served."""
    locked = frames.start + PREAMBLE_S[frames.spreading_factor - FASTEST]
    takes = strong.copy()
    if sending:
        begins, ends = np.array(sending).T
        last = np.searchsorted(begins, locked, side="right") - 1
        takes &= ~((last >= 0) & (ends[last] > locked))
    served = np.ones(len(frames), bool)
    asking = np.flatnonzero(takes)
    asking = asking[np.argsort(locked[asking], kind="stable")]
    begun, ended = locked[asking], np.sort(frames.end[asking])
    under_way = np.arange(len(asking)) - np.searchsorted(ended, begun, side="right")
    if not (under_way >= demodulators).any():
        return served
    busy: list[float] = []
    for frame, at, until in zip(asking.tolist(), begun.tolist(), frames.end[asking].tolist(), strict=True):
        while busy and busy[0] <= at:
            heapq.heappop(busy)
        if len(busy) < demodulators:
            heapq.heappush(busy, until)
        else:
            served[frame] = False
    return served
