"""One gateway's receiver, without time of its own: which of the signals that reach its antenna it demodulates."""

import heapq
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from adapter_agent.simulation.physics import (
    GATEWAY_NOISE_FIGURE_DB,
    REJECTION_DB,
    Signal,
    preamble_s,
    sensitivity_dbm,
    survives,
)

DEMODULATORS: Final = 16  # SX1302


class Fate(Enum):
    """What became of a signal at a gateway; of several reasons the first in this order is named."""

    OFF_CHANNEL = "off_channel"
    BELOW_SENSITIVITY = "below_sensitivity"
    DEAF = "deaf"
    NO_DEMODULATOR = "no_demodulator"
    COLLIDED = "collided"
    RECEIVED = "received"


@dataclass(frozen=True, slots=True)
class ReceiveChannel:
    """A frequency the gateway listens on, its bandwidth, and the one spreading factor of a single-SF modem."""

    frequency_hz: int
    bandwidth_hz: int = 125_000
    spreading_factor: int | None = None

    def takes(self, signal: Signal) -> bool:
        return (
            signal.frequency_hz == self.frequency_hz
            and signal.bandwidth_hz == self.bandwidth_hz
            and self.spreading_factor in (None, signal.spreading_factor)
        )


class Receiver:
    """Half-duplex receiver with a pool of demodulators.

    `begin` takes signals in order of their start, `finish` in any order but not before the signal's end, and by then
    every signal that has begun must have been told. `sending` may be told ahead.
    """

    def __init__(
        self,
        channels: tuple[ReceiveChannel, ...],
        *,
        demodulators: int = DEMODULATORS,
        noise_figure_db: float = GATEWAY_NOISE_FIGURE_DB,
        rejection: Mapping[int, Mapping[int, float]] = REJECTION_DB,
    ) -> None:
        self.channels = channels
        self.noise_figure_db = noise_figure_db
        self._demodulators = demodulators
        self._rejection = rejection
        self._order = itertools.count()
        self._air: list[Signal] = []
        self._open: dict[int, Signal] = {}
        self._waiting: list[tuple[float, int, Signal]] = []
        self._busy: list[float] = []
        self._unserved: set[int] = set()
        self._own: list[tuple[float, float]] = []

    def begin(self, signal: Signal) -> None:
        """`signal` begins to arrive."""
        self._air.append(signal)
        self._open[id(signal)] = signal
        if self.channel(signal) is not None and self._strong_enough(signal):
            locked = signal.start + preamble_s(signal.spreading_factor, signal.bandwidth_hz)
            heapq.heappush(self._waiting, (locked, next(self._order), signal))

    def sending(self, start: float, end: float) -> None:
        """The gateway sends from `start` to `end` and hears nothing meanwhile, on any channel."""
        self._own.append((start, end))

    def finish(self, signal: Signal) -> Fate:
        """What became of `signal`, now that it has ended."""
        self._hand_out_demodulators(signal.end)
        fate = self._fate(signal)
        self._unserved.discard(id(signal))
        del self._open[id(signal)]
        self._forget()
        return fate

    def channel(self, signal: Signal) -> int | None:
        """The number of the channel that takes `signal`."""
        return next((number for number, channel in enumerate(self.channels) if channel.takes(signal)), None)

    def _fate(self, signal: Signal) -> Fate:
        if self.channel(signal) is None:
            return Fate.OFF_CHANNEL
        if not self._strong_enough(signal):
            return Fate.BELOW_SENSITIVITY
        if any(start < signal.end and signal.start < end for start, end in self._own):
            return Fate.DEAF
        if id(signal) in self._unserved:
            return Fate.NO_DEMODULATOR
        if not survives(signal, (other for other in self._air if other is not signal), self._rejection):
            return Fate.COLLIDED
        return Fate.RECEIVED

    def _strong_enough(self, signal: Signal) -> bool:
        floor = sensitivity_dbm(signal.spreading_factor, signal.bandwidth_hz, self.noise_figure_db)
        return signal.power_dbm >= floor

    def _hand_out_demodulators(self, until: float) -> None:
        # In order of the ends of the preambles: a slow one that began earlier may lock later.
        while self._waiting and self._waiting[0][0] <= until:
            locked, _, signal = heapq.heappop(self._waiting)
            if any(start <= locked < end for start, end in self._own):
                continue
            while self._busy and self._busy[0] <= locked:
                heapq.heappop(self._busy)
            if len(self._busy) < self._demodulators:
                heapq.heappush(self._busy, signal.end)
            else:
                self._unserved.add(id(signal))

    def _forget(self) -> None:
        horizon = min((signal.start for signal in self._open.values()), default=float("inf"))
        newest = self._air[-1].start
        self._air = [signal for signal in self._air if signal.end > horizon or id(signal) in self._open]
        self._own = [(start, end) for start, end in self._own if end > min(horizon, newest)]
