"""Where a slot does least harm when nothing is free: where whoever fares worst has most to spare.

Another spreading factor of about the same level hardly disturbs, the same one always does. So a device that comes when
a concentrator is full may be given a slower data rate: over a single faster slot of its level both are heard.
"""

from collections.abc import Iterator, Sequence
from math import inf, log10
from typing import Final, NamedTuple

from meterwire.slots import CHANNELS
from provisioning.slots.allocator.crowd import Crowd, frame_of
from provisioning.slots.allocator.grid import MINUTES, step_of
from provisioning.slots.allocator.held import Wish
from provisioning.slots.allocator.placing import Spot
from provisioning.slots.allocator.site import Site

ENOUGH_DB: Final = 10.0  # to spare on both sides: 3 dB of fading on either lose about one in a hundred
_SAMPLED: Final = 8  # frames of each minute that are tried first
_TRIED: Final = 4000  # places, of each data rate


class Choice(NamedTuple):
    """Where a wish does least harm, and how many dB more than it needs whoever fares worst there has."""

    spot: Spot
    margin_db: float


def find_least(wish: Wish, crowds: Sequence[Crowd], good_db: float = ENOUGH_DB) -> Choice:
    """The first place with `good_db` to spare, else the best of those tried; `crowds` of its site and of the others.

    Turns over a frame count as if they came in every frame.
    """
    search = _Search(wish, crowds, 10 ** (good_db / 10))
    spot, ratio = search.run()
    assert ratio > 0  # closed time leaves room in every plan that Closed and reserved() allow
    return Choice(spot, inf if ratio == inf else 10 * log10(ratio))


def overlapped(wish: Wish, spot: Spot) -> int:
    """Quanta of other slots that a wish at this place meets in one frame, once for each slot that lies there."""
    ones = (1 << wish.length) - 1
    masks = (mask for chunk in wish.chunks(spot[0]) for mask in _masks(wish.site, wish.others, chunk))
    return sum((mask >> spot[1] & ones).bit_count() for mask in masks)


class _Search:
    def __init__(self, wish: Wish, crowds: Sequence[Crowd], enough: float) -> None:
        self._wish, self._crowds, self._enough = wish, crowds, enough
        self._best, self._spot = -inf, (0, 0)
        self._left = _TRIED
        self._closed = [_spans(mask) for mask in wish.site.grid.closed]

    def run(self) -> tuple[Spot, float]:
        step = step_of(self._wish.period_s)
        firsts = [channel * MINUTES + minute for minute in range(step) for channel in range(CHANNELS)]
        turned = sum(map(len, self._crowds[0].minutes)) % len(firsts)  # spreads what comes over all minutes
        promising = []
        for first in firsts[turned:] + firsts[:turned]:
            if self._best >= self._enough or self._left <= 0:
                break
            promising.append((-self._minute(first, sample=True), first))
        for _, first in sorted(promising):
            if self._best >= self._enough or self._left <= 0:
                break
            self._minute(first, sample=False)
        return self._spot, self._best

    def _minute(self, first: int, *, sample: bool) -> float:
        """The best ratio found in a minute (and those that belong to it), and no better than what was found before."""
        wish, best = self._wish, -inf
        chunks = wish.chunks(first)
        closed = [span for chunk in chunks for span in self._closed[chunk % MINUTES]]
        for offset in self._offsets(first, sample=sample):
            end = offset + wish.length
            if any(offset < until and begin < end for begin, until in closed):
                continue
            self._left -= 1
            ratio = self._ratio(chunks, offset)
            best = max(best, ratio)
            if ratio > self._best:
                self._best, self._spot = ratio, (first, offset)
                if ratio >= self._enough:
                    break
            if self._left <= 0:
                break
        return best

    def _ratio(self, chunks: range, offset: int) -> float:
        wish, least = self._wish, inf
        for number, crowd in enumerate(self._crowds):
            frame = frame_of(wish.site, wish.signal, offset, wish.length, served=number == 0)
            for chunk in chunks:
                least = min(least, crowd.ratio(chunk, frame, self._best))
                if least <= self._best:
                    return least
        return least

    def _offsets(self, first: int, *, sample: bool) -> Iterator[int]:
        """Where a slot may do little: over a frame, over a gap, from the end of one, until the begin of one."""
        wish = self._wish
        quantum_ms, last = wish.site.grid.quantum_ms, wish.site.grid.bits - wish.length
        frames = self._crowds[0].minutes[first]
        stride = max(1, len(frames) // _SAMPLED) if sample else 1
        tried = {0, last}
        yield from (0, last) if last else (0,)
        length_ms = wish.length * quantum_ms
        for number in range(0, len(frames), stride):
            frame = frames[number]
            following = frames[number + 1].begin if number + 1 < len(frames) else frame.end
            for begin_ms in (
                (frame.begin + frame.end - length_ms) / 2,
                (frame.end + following - length_ms) / 2,
                frame.end - wish.signal.guard_ms,
                frame.begin + wish.signal.guard_ms - length_ms,
            ):
                offset = min(max(round(begin_ms / quantum_ms), 0), last)
                if offset not in tried:
                    tried.add(offset)
                    yield offset


def _spans(mask: int) -> list[tuple[int, int]]:
    """Where a mask has ones, as (begin, end)."""
    found = []
    position = 0
    while mask:
        zeros = (mask & -mask).bit_length() - 1
        mask >>= zeros
        ones = (~mask & (mask + 1)).bit_length() - 1
        mask >>= ones
        found.append((position + zeros, position + zeros + ones))
        position += zeros + ones
    return found


def _masks(site: Site, others: Sequence[Site], chunk: int) -> Iterator[int]:
    yield site.own[chunk]
    yield from site.noise.planes(chunk)
    yield from site.over.planes(chunk)
    for other in others:
        yield other.own[chunk]
        yield from other.over.planes(chunk)
