"""Where a slot disturbs least when nothing is free: every quantum counts once for each slot that lies on it."""

from collections.abc import Iterator, Sequence
from typing import Final

from meterwire.slots import CHANNELS
from provisioning.slots.allocator.grid import MINUTES, step_of
from provisioning.slots.allocator.held import Wish
from provisioning.slots.allocator.placing import Spot
from provisioning.slots.allocator.site import Site

_EDGES: Final = 12  # tried per chunk, and as many starts evenly spread


def find_least(wish: Wish) -> tuple[Spot, int]:
    """The place and the quanta of other slots it meets in one frame. Containers count as if all their rows were taken.

    The least is where the slot's begin or end meets that of a free piece; a bounded number of these is tried.
    """
    site, others, length, period_s = wish
    step = step_of(period_s)
    best: tuple[int, Spot] | None = None
    ones = (1 << length) - 1
    for channel in range(CHANNELS):
        for minute in range(step):
            chunks = range(channel * MINUTES + minute, (channel + 1) * MINUTES, step)
            masks = [mask for chunk in chunks for mask in _masks(site, others, chunk)]
            closed = [site.grid.closed[chunk % MINUTES] for chunk in chunks]
            free = site.free(others, chunks)
            for offset in _candidates(free, site.grid.bits, length):
                if any(mask >> offset & ones for mask in closed):
                    continue
                cost = sum((mask >> offset & ones).bit_count() for mask in masks)
                if best is None or cost < best[0]:
                    best = cost, (chunks[0], offset)
    assert best is not None  # closed time leaves room in every plan that Closed and reserved() allow
    return best[1], best[0]


def _masks(site: Site, others: Sequence[Site], chunk: int) -> Iterator[int]:
    yield site.own[chunk]
    yield from site.noise.planes(chunk)
    yield from site.over.planes(chunk)
    for other in others:
        yield other.own[chunk]
        yield from other.over.planes(chunk)


def _candidates(free: int, bits: int, length: int) -> set[int]:
    last = bits - length
    found = {last * n // _EDGES for n in range(_EDGES + 1)}
    edges = free ^ free << 1
    while edges and len(found) < 3 * _EDGES:
        edge = edges.bit_length() - 1
        edges ^= 1 << edge
        found.update(offset for offset in (edge, edge - length) if 0 <= offset <= last)
    return found
