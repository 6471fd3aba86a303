"""Longer periods take turns in one place of the frame: a container has 96 rows, one for each frame of a day."""

from typing import TYPE_CHECKING, Final

from meterwire.slots import FRAME_S

if TYPE_CHECKING:
    from provisioning.slots.allocator.site import Site

ROWS: Final = 86_400 // FRAME_S
_ALL: Final = (1 << ROWS) - 1


class Container:
    """A place that devices of one length share; `free` has a bit per row, `others` hear any of them."""

    __slots__ = ("chunk", "free", "length", "offset", "others")

    def __init__(self, chunk: int, offset: int, length: int, others: "tuple[Site, ...]") -> None:
        self.chunk, self.offset, self.length, self.others = chunk, offset, length, others
        self.free = _ALL

    @property
    def unused(self) -> bool:
        return self.free == _ALL

    def row(self, period_s: int) -> int | None:
        """A free first row for this period. A day prefers frames of the hour that are broken into already."""
        turns = period_s // FRAME_S
        if turns == ROWS:
            hours = sorted((self.free & pattern(3600, row) for row in range(4)), key=int.bit_count)
            left = next((hour for hour in hours if hour), 0)
            return (left & -left).bit_length() - 1 if left else None
        return next((row for row in range(turns) if self.has(period_s, row)), None)

    def has(self, period_s: int, row: int) -> bool:
        """Whether all of the day's frames that begin with `row` are free."""
        wanted = pattern(period_s, row)
        return self.free & wanted == wanted

    def admits(self, site: "Site", others: "tuple[Site, ...]") -> bool:
        """Whether another turn would meet nothing; then the place is protected at `others` too.

        Something may lie over a container: a neighbour that was heard later, or what was squeezed in.
        """
        mask = (1 << self.length) - 1 << self.offset
        met = site.noise.any(self.chunk) | site.over.any(self.chunk)
        for other in others:
            met |= other.served(self.chunk)
        if met & mask:
            return False
        missing = tuple(other for other in others if other not in self.others)
        for other in missing:
            other.noise.add(self.chunk, mask)
        self.others += missing
        return True


def pattern(period_s: int, row: int) -> int:
    """The rows of a day that a slot of this period takes when its first one is `row`."""
    return sum(1 << place for place in range(row, ROWS, period_s // FRAME_S))
