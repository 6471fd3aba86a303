"""A place close to an old one: an SMGw goes on taking values that shift by less than 2 s (design 7)."""

from meterwire.slots import CHANNELS, FRAME_S
from provisioning.slots.allocator.grid import MINUTES, nearest, runs, step_of
from provisioning.slots.allocator.held import Wish
from provisioning.slots.allocator.placing import Spot


def find_near(wish: Wish, old: Spot, reach: int) -> Spot | None:
    """A free place within `reach` quanta of the `old` phase, on any channel: one in a chunk in use before one in an
    empty chunk, then the nearest.
    """
    site, others, length, period_s, _ = wish
    bits, step = site.grid.bits, step_of(period_s)
    at = old[0] % MINUTES * bits + old[1]
    best: tuple[bool, int, Spot] | None = None
    for minute in range((at - reach) // bits, (at + reach) // bits + 1):
        if period_s > FRAME_S and not 0 <= minute < MINUTES:
            continue  # it would be another turn
        low, high = max(at - reach - minute * bits, 0), min(at + reach - minute * bits, bits - length)
        if low > high:
            continue
        wanted = min(max(at - minute * bits, low), high)
        for channel in range(CHANNELS):
            chunks = range(channel * MINUTES + minute % step, (channel + 1) * MINUTES, step)
            window = (1 << high - low + length) - 1
            offset = nearest(runs(site.free(others, chunks) >> low & window, length), wanted - low)
            if offset is not None:
                away = abs(minute * bits + low + offset - at)
                found = not site.used[chunks[0]], away, (chunks[0], low + offset)
                best = found if best is None else min(best, found)
    return None if best is None else best[2]
