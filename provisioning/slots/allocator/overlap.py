"""Where a slot does least harm when nothing is free: where whoever fares worst has most to spare.

Another spreading factor of about the same level hardly disturbs, the same one always does. So a device that comes when
a concentrator is full may be given a slower data rate: over a single faster slot of its level both are heard.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from math import inf, log10
from typing import Final, NamedTuple

from meterwire.errors import ValueOutOfRange
from meterwire.slots import CHANNELS
from provisioning.slots.allocator.crowd import Crowd, frame_of
from provisioning.slots.allocator.grid import MINUTES, spans, step_of
from provisioning.slots.allocator.held import Wish
from provisioning.slots.allocator.placing import Spot
from provisioning.slots.allocator.site import Site

HARMLESS_DB: Final = 9.0  # to spare: with 3 dB of fading on both sides about one frame in fifty is lost
_ENOUGH_DB: Final = 10.5  # to search no further; SF8 over SF7 comes to 10.8 dB when both are of the best level
_HARMLESS: Final = 10 ** (HARMLESS_DB / 10)
_ENOUGH: Final = 10 ** (_ENOUGH_DB / 10)
_SAMPLED: Final = 2  # frames of each minute that are tried first
_EDGES: Final = 12  # places evenly spread over each minute that are tried whatever lies there
_MATCHED: Final = 100  # frames of each kind that are tried for their level
_MOST: Final = 3000  # places that are tried at all, at each data rate


class Choice(NamedTuple):
    """Where which wish (an index) does least harm, and how many dB more than it needs whoever fares worst there has."""

    spot: Spot
    chosen: int
    margin_db: float


def find_least(wishes: Sequence[Wish], crowds: Sequence[Crowd]) -> Choice:
    """The first of `wishes` for which a harmless place is found, else that with the best place of those tried.

    They differ in data rate only; `crowds` are of the site and of the others. Turns over a frame count as if they came
    in every frame. ValueOutOfRange where closed time leaves no room.
    """
    for alone, thorough in ((True, False), (True, True), (False, True)):
        best, least = None, 0.0
        for chosen, wish in enumerate(wishes):
            spot, ratio = _Search(wish, crowds, alone=alone).run(thorough=thorough)
            if spot is not None and ratio > least:
                best, least = (spot, chosen), ratio
                if ratio >= _HARMLESS:
                    break
        if best is not None and (thorough or least >= _HARMLESS):
            return Choice(*best, inf if least == inf else 10 * log10(least))
    shortest_ms = min(wish.length for wish in wishes) * wishes[0].site.grid.quantum_ms
    raise ValueOutOfRange(f"closed time leaves no room for a slot of {shortest_ms} ms; close less of it")


def overlapped(wish: Wish, spot: Spot) -> int:
    """Quanta of other slots that a wish at this place meets in one frame, once for each slot that lies there."""
    ones = (1 << wish.length) - 1
    masks = (mask for chunk in wish.chunks(spot[0]) for mask in _masks(wish.site, wish.others, chunk))
    return sum((mask >> spot[1] & ones).bit_count() for mask in masks)


class _Search:
    """`alone`: not over what lies over others already. With two frames at once on each channel none of the 16
    demodulators of a concentrator is missing.
    """

    def __init__(self, wish: Wish, crowds: Sequence[Crowd], *, alone: bool) -> None:
        self._wish, self._crowds, self._alone = wish, crowds, alone
        self._step = step_of(wish.period_s)
        self._firsts = [channel * MINUTES + minute for minute in range(self._step) for channel in range(CHANNELS)]
        self._ones = (1 << wish.length) - 1
        self._closed = [spans(mask) for mask in wish.site.grid.closed]
        self._promise: dict[int, float] = {}  # best ratio by minute

    def run(self, *, thorough: bool) -> tuple[Spot | None, float]:
        """The place found, if any, and the ratio (see Crowd) there."""
        best, least = None, 0.0
        for first, offset in islice(self._admitted(thorough), _MOST):
            ratio = self._ratio(first, offset, least)
            self._promise[first] = max(ratio, self._promise.get(first, 0.0))
            if ratio > least:
                best, least = (first, offset), ratio
                if ratio >= _ENOUGH:
                    break
        return best, least

    def _admitted(self, thorough: bool) -> Iterator[Spot]:
        tried = set()
        for spot in chain(self._sampled(), self._matched(), self._searched() if thorough else ()):
            if spot not in tried and not self._shut(*spot):
                tried.add(spot)
                yield spot

    def _shut(self, first: int, offset: int) -> bool:
        end = offset + self._wish.length
        over = self._wish.site.over
        for chunk in self._wish.chunks(first):
            if any(offset < until and begin < end for begin, until in self._closed[chunk % MINUTES]):
                return True
            if self._alone and over.any(chunk) >> offset & self._ones:
                return True
        return False

    def _ratio(self, first: int, offset: int, floor: float) -> float:
        wish, least = self._wish, inf
        for number, crowd in enumerate(self._crowds):
            frame = frame_of(wish, offset, served=number == 0)
            for chunk in wish.chunks(first):
                least = min(least, crowd.ratio(chunk, frame, floor))
                if least <= floor:
                    return least
        return least

    def _sampled(self) -> Iterator[Spot]:
        """Some places in all minutes, in turns, so that what comes over others spreads."""
        turned = self._crowds[0].count % len(self._firsts)
        for first in self._firsts[turned:] + self._firsts[:turned]:
            count = len(self._crowds[0].minutes[first])
            begin = self._crowds[0].count * 7919 % max(1, count)
            some = (begin + count * number // _SAMPLED for number in range(_SAMPLED)) if count else ()
            yield from self._around(first, (number % count for number in some))

    def _matched(self) -> Iterator[Spot]:
        """Over single frames of just the level at which both would be heard equally well."""
        wish = self._wish
        new = frame_of(wish, 0, served=True)
        for chunk, frame in self._crowds[0].matching(new, _MATCHED):
            row = chunk // MINUTES * MINUTES + chunk % MINUTES % self._step
            yield row, self._offset((frame.begin + frame.end) / 2)

    def _searched(self) -> Iterator[Spot]:
        """All places, in those minutes first that promise most."""
        last = self._wish.site.grid.bits - self._wish.length
        for first in sorted(self._firsts, key=lambda first: self._promise.get(first, 0.0), reverse=True):
            yield from ((first, last * part // _EDGES) for part in range(_EDGES + 1))
            yield from self._around(first, range(len(self._crowds[0].minutes[first])))

    def _around(self, first: int, numbers: Iterable[int]) -> Iterator[Spot]:
        """Where a slot may do little: over a frame, over the gap behind it, from its end on, until its begin."""
        frames, guard_ms = self._crowds[0].minutes[first], self._wish.signal.guard_ms
        half_ms = self._wish.length * self._wish.site.grid.quantum_ms / 2
        for number in numbers:
            frame = frames[number]
            following = frames[number + 1].begin if number + 1 < len(frames) else frame.end
            yield first, self._offset((frame.begin + frame.end) / 2)
            yield first, self._offset((frame.end + following) / 2)
            yield first, self._offset(frame.end + half_ms - guard_ms)
            yield first, self._offset(frame.begin - half_ms + guard_ms)

    def _offset(self, middle_ms: float) -> int:
        """Where a slot with its middle there begins, as near as the minute allows."""
        grid, length = self._wish.site.grid, self._wish.length
        return min(max(round(middle_ms / grid.quantum_ms - length / 2), 0), grid.bits - length)


def _masks(site: Site, others: Sequence[Site], chunk: int) -> Iterator[int]:
    yield site.own[chunk]
    yield from site.noise.planes(chunk)
    yield from site.over.planes(chunk)
    for other in others:
        yield other.own[chunk]
        yield from other.over.planes(chunk)
