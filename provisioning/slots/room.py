"""What is free at a concentrator: busy masks of its channels and minutes, loaded from Occupancy, and the search.

A minute of the 900 s frame on one channel is an integer with one bit per quantum. Longer periods take turns in a place
that they share among themselves (a container).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from meterwire.slots import CHANNELS, FRAME_S
from provisioning.slots.lattice import MINUTE_MS, MINUTES, Rectangle, rank, rectangle

FRAME_MINUTES: Final = FRAME_S // 60
_SIZE: Final = MINUTES // FRAME_MINUTES  # renumbered minutes of one minute of the frame
_MINUTE_OF: Final = {rank(minute) // _SIZE: minute for minute in range(FRAME_MINUTES)}
KEPT_MS: Final = 1800  # an SMGw takes values within 2 s of the moment it has learnt (design 7)


class Place(NamedTuple):
    """A channel, the beginning of a slot in its period (ms), and what it shares with others per day (ms)."""

    channel: int
    phase_ms: int
    overlap_ms: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for: `length_ms` every `period_s`."""

    length_ms: int
    period_s: int


class Room:
    """`quantum_ms` of the plan, `reserve` of the time (thousandths) stays free. Rectangles come with their channel."""

    def __init__(self, quantum_ms: int, reserve: int) -> None:
        self._quantum = quantum_ms
        self._bits = MINUTE_MS // quantum_ms
        self._masks = [0] * (CHANNELS * FRAME_MINUTES)
        self._turns: dict[tuple[int, int, int], set[int]] = {}  # (cell, begin, end) -> renumbered minutes in use
        self.used = 0  # quanta in a day
        self.limit = CHANNELS * MINUTES * self._bits * (1000 - reserve) // 1000

    def take(self, channel: int, taken: Rectangle, *, own: bool = True) -> None:
        """Mark as busy. `taken.first` counts within the channel; `own`: it counts as use of this concentrator."""
        begin, end = self._quanta(taken)
        mask = (1 << end) - (1 << begin)
        for frame in range(taken.first // _SIZE, -(-taken.last // _SIZE)):
            self._masks[self._cell(channel, frame)] |= mask
        if taken.last - taken.first < _SIZE:
            cell = self._cell(channel, taken.first // _SIZE)
            self._turns.setdefault((cell, begin, end), set()).update(range(taken.first, taken.last))
        if own:
            self.used += (end - begin) * (taken.last - taken.first)

    def give(self, place: Place, wish: Wish) -> None:
        """Mark a place that was found as busy."""
        self.take(place.channel, rectangle(0, place.phase_ms, wish.period_s, wish.length_ms))

    def find(self, wish: Wish, near: Place | None = None) -> Place | None:
        """A free place: within KEPT_MS of `near` where that is possible, else the first one. None: no room."""
        length = -(-wish.length_ms // self._quantum)
        if self.used + length * (MINUTES * 60 // wish.period_s) > self.limit:
            return None
        if near is not None and (kept := self._near(wish, length, near)) is not None:
            return kept
        if wish.period_s > FRAME_S and (turn := self._turn(wish, length)) is not None:
            return turn
        for channel, minutes in self._choices(wish.period_s):
            runs = _runs(self._free(channel, minutes), length)
            if runs:
                offset = (runs & -runs).bit_length() - 1
                return Place(channel, minutes[0] * MINUTE_MS + offset * self._quantum)
        return None

    def fill(self, wish: Wish, count: int) -> int:
        """Place up to `count` alike ones without saying where, for planning; how many of them found room."""
        length, frames = -(-wish.length_ms // self._quantum), max(wish.period_s // FRAME_S, 1)
        each = length * (MINUTES * 60 // wish.period_s)
        most = left = max(min(count, (self.limit - self.used) // each), 0)
        for channel, minutes in self._choices(min(wish.period_s, FRAME_S)):
            runs = _runs(self._free(channel, minutes), length)
            while runs and left:
                offset = (runs & -runs).bit_length() - 1
                for minute in minutes:
                    self._masks[channel * FRAME_MINUTES + minute] |= (1 << length) - 1 << offset
                runs = runs >> offset + length << offset + length
                left -= min(left, frames)  # longer periods take turns in one place
        self.used += each * (most - left)
        return most - left

    def copy(self) -> "Room":
        """The same room, to plan in."""
        other = Room(self._quantum, 0)
        other._masks, other.used, other.limit = self._masks[:], self.used, self.limit
        return other

    def least_overlap(self, wish: Wish) -> Place:
        """Where a slot meets the least of others, looking at starts a quarter of its length apart."""
        length = -(-wish.length_ms // self._quantum)
        step, ones, best = max(length // 4, 1), (1 << length) - 1, Place(0, 0, 1 << 62)
        times = MINUTES * 60 // wish.period_s
        for channel, minutes in self._choices(wish.period_s):
            for offset in range(0, self._bits - length, step):
                met = sum((self._masks[channel * FRAME_MINUTES + m] >> offset & ones).bit_count() for m in minutes)
                shared = max(met * self._quantum * times // len(minutes), 1)
                if shared < best.overlap_ms:
                    best = Place(channel, minutes[0] * MINUTE_MS + offset * self._quantum, shared)
        return best

    def _near(self, wish: Wish, length: int, near: Place) -> Place | None:
        minute, at_ms = divmod(near.phase_ms, MINUTE_MS)
        at, reach = at_ms // self._quantum, KEPT_MS // self._quantum
        minutes = [m for m in range(FRAME_MINUTES) if (m - minute) % min(wish.period_s // 60, FRAME_MINUTES) == 0]
        best: tuple[int, int, int] | None = None
        for channel in (near.channel, *(c for c in range(CHANNELS) if c != near.channel)):
            low = max(0, at - reach)
            runs = _runs(self._free(channel, minutes), length) >> low << low
            runs &= (1 << at + reach + 1) - 1
            for offset in (_lowest(runs >> at << at), (runs & (1 << at) - 1).bit_length() - 1):
                if offset >= 0 and (best is None or abs(offset - at) < best[0]):
                    best = abs(offset - at), channel, offset
        return None if best is None else Place(best[1], minute * MINUTE_MS + best[2] * self._quantum)

    def _turn(self, wish: Wish, length: int) -> Place | None:
        """A free turn in a place that longer periods share already."""
        for (cell, begin, end), used in self._turns.items():
            if end - begin != length:
                continue
            channel, minute = divmod(cell, FRAME_MINUTES)
            for candidate in range(minute, wish.period_s // 60, FRAME_MINUTES):
                first = rank(candidate)
                if used.isdisjoint(range(first, first + MINUTES * 60 // wish.period_s)):
                    return Place(channel, candidate * MINUTE_MS + begin * self._quantum)
        return None

    def _choices(self, period_s: int) -> Iterator[tuple[int, list[int]]]:
        step = min(period_s // 60, FRAME_MINUTES)
        channels = range(CHANNELS) if period_s >= FRAME_S else range(CHANNELS - 1, -1, -1)
        for channel in channels:
            for minute in range(step):
                yield channel, list(range(minute, FRAME_MINUTES, step))

    def _free(self, channel: int, minutes: Iterable[int]) -> int:
        busy = 0
        for minute in minutes:
            busy |= self._masks[channel * FRAME_MINUTES + minute]
        return (1 << self._bits) - 1 & ~busy

    def _cell(self, channel: int, frame: int) -> int:
        return channel * FRAME_MINUTES + _MINUTE_OF[frame]

    def _quanta(self, taken: Rectangle) -> tuple[int, int]:
        return taken.begin // self._quantum, -(-taken.end // self._quantum)


def _lowest(runs: int) -> int:
    return (runs & -runs).bit_length() - 1


def _runs(free: int, length: int) -> int:
    """The starts of `length` free quanta in a row, by doubling (reference: performance 2)."""
    have = 1
    while have < length and free:
        step = min(have, length - have)
        free &= free >> step
        have += step
    return free
