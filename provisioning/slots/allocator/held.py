"""What is looked for, and what the allocator remembers of a device."""

from typing import NamedTuple

from provisioning.slots.allocator.containers import Container, pattern
from provisioning.slots.allocator.grid import FRAME_MS, MINUTE_MS, MINUTES, Place, step_of
from provisioning.slots.allocator.placing import Spot
from provisioning.slots.allocator.signal import Signal
from provisioning.slots.allocator.site import Site


class Wish(NamedTuple):
    """`length` quanta every `period_s`, served at `site`, where `signal` arrives, and heard at `others`."""

    site: Site
    others: tuple[Site, ...]
    length: int
    period_s: int
    signal: Signal

    def chunks(self, first: int) -> range:
        """The chunks used in a frame when the slot is first in chunk `first`."""
        return range(first, (first // MINUTES + 1) * MINUTES, step_of(self.period_s))

    def fits(self, spot: Spot) -> bool:
        """Whether nothing is in the way there."""
        ones = (1 << self.length) - 1
        return not any(self.site.meets(self.others, chunk, spot[1], ones) for chunk in self.chunks(spot[0]))


class Held:
    """A device's slot: `row` counts frames in a period over 900 s, `over` tells that it lies over others."""

    # The wish is taken apart: 100,000 of these count, in bytes.
    __slots__ = ("chunk", "container", "length", "offset", "others", "over", "period_s", "row", "signal", "site")

    def __init__(
        self, wish: Wish, spot: Spot, row: int = 0, container: Container | None = None, *, over: bool = False
    ) -> None:
        self.site, self.others, self.length, self.period_s, self.signal = wish
        self.chunk, self.offset = spot
        self.row, self.container, self.over = row, container, over

    @property
    def wish(self) -> Wish:
        return Wish(self.site, self.others, self.length, self.period_s, self.signal)

    @property
    def spot(self) -> Spot:
        return self.chunk, self.offset

    @property
    def chunks(self) -> range:
        return self.wish.chunks(self.chunk)

    @property
    def place(self) -> Place:
        channel, minute = divmod(self.chunk, MINUTES)
        quantum_ms = self.site.grid.quantum_ms
        return Place(channel, self.row * FRAME_MS + minute * MINUTE_MS + self.offset * quantum_ms)

    def release(self) -> None:
        """Give its time back."""
        site, others, length = self.site, self.others, self.length
        if self.over:
            site.lift(others, self.chunks, self.offset, length)
            return
        if self.container is None:
            site.take(others, self.chunks, self.offset, length)
            return
        container, waiting = self.container, site.containers.setdefault(length, [])
        if not container.free:
            waiting.append(container)
        container.free |= pattern(self.period_s, self.row)
        if container.unused:
            waiting.remove(container)
            site.take(container.others, self.chunks, self.offset, length)

    def hear(self, other: Site) -> bool:
        """From now on `other` hears it too. Whether nothing that is served there is in its way."""
        if other is self.site or other in self.others:
            return True
        mask = (1 << self.length) - 1 << self.offset
        free = not any(other.served(chunk) & mask for chunk in self.chunks)
        if self.container is None or other not in self.container.others:
            for chunk in self.chunks:
                other.noise.add(chunk, mask)
            if self.container is not None:
                self.container.others += (other,)
        self.others += (other,)
        return free
