"""One concentrator's time: what is served here, what is only heard here, and what lies over other slots."""

from collections.abc import Iterable, Sequence
from typing import Final

from provisioning.slots.allocator.containers import Container
from provisioning.slots.allocator.grid import CHUNKS, MINUTES, Grid, runs
from provisioning.slots.allocator.layers import Layers

EMPTY: Final = 0
SHARED: Final = -1  # owner of a chunk for all lengths


class Site:
    """Masks per chunk. `own` is served here and closed time; `noise` is heard here and served elsewhere, two of which
    may share; `over` was placed over others knowingly. `owner` is the length for which a chunk was opened.
    """

    __slots__ = ("containers", "grid", "holes", "noise", "open", "over", "own", "owner", "rows", "shut", "tops", "used")

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.own = grid.closed * (CHUNKS // MINUTES)
        self.used = [0] * CHUNKS
        self.owner = [EMPTY] * CHUNKS
        self.noise, self.over = Layers(), Layers()
        self.holes: dict[int, list[tuple[int, int]]] = {}  # length -> (chunk, offset) that became free
        self.open: dict[int, tuple[int, int]] = {}  # length -> chunk being filled, next offset
        self.rows: dict[int, tuple[int, int, int]] = {}  # length -> channel, offset, next minute (see placing)
        self.tops: dict[int, int] = {}  # channel -> where its next row begins
        self.shut: dict[int, set[int]] = {}  # length -> chunks known to have no room for it
        self.containers: dict[int, list[Container]] = {}  # length -> those with turns left

    def busy(self, chunk: int) -> int:
        """Where nothing that is served here may begin or lie."""
        mask = self.own[chunk]
        if self.noise:
            mask |= self.noise.any(chunk)
        if self.over:
            mask |= self.over.any(chunk)
        return mask

    def served(self, chunk: int) -> int:
        """Where a frame heard here would disturb one that is served here."""
        return self.own[chunk] | self.over.any(chunk) if self.over else self.own[chunk]

    def meets(self, others: Sequence["Site"], chunk: int, offset: int, ones: int) -> int:
        """What is in the way of `ones` at `offset`, here and at the others that hear it."""
        met = self.own[chunk] >> offset
        if self.noise:
            met |= self.noise.any(chunk) >> offset
        if self.over:
            met |= self.over.any(chunk) >> offset
        for other in others:
            met |= other.served(chunk) >> offset
        return met & ones

    def free(self, others: Sequence["Site"], chunks: Iterable[int]) -> int:
        """The quanta that are free in all `chunks`, here and for the others."""
        busy = 0
        for chunk in chunks:
            busy |= self.busy(chunk)
            for other in others:
                busy |= other.served(chunk)
        return self.grid.full & ~busy

    def starts(self, others: Sequence["Site"], chunk: int, length: int) -> int:
        """Where `length` free quanta begin in a chunk; remembers chunks that have no room whoever else hears."""
        shut = self.shut.setdefault(length, set())
        if chunk in shut:
            return 0
        found = runs(self.grid.full & ~self.busy(chunk), length)
        if not found:
            shut.add(chunk)
        elif others:
            found = runs(self.free(others, (chunk,)), length)
        return found

    def put(self, others: Iterable["Site"], chunks: Iterable[int], offset: int, length: int) -> None:
        """Serve an interval of each chunk from now on; it must be free."""
        mask = (1 << length) - 1 << offset
        for chunk in chunks:
            self.own[chunk] |= mask
            self.used[chunk] += length
            for other in others:
                other.noise.add(chunk, mask)

    def take(self, others: Iterable["Site"], chunks: Sequence[int], offset: int, length: int) -> None:
        """The opposite of `put`; the room is remembered for the next one of the same length."""
        mask = (1 << length) - 1 << offset
        for chunk in chunks:
            self.own[chunk] ^= mask
            self.used[chunk] -= length
            self.reopen(chunk)
            for other in others:
                other.noise.remove(chunk, mask)
                other.reopen(chunk)
            if not self.used[chunk]:
                self._emptied(chunk)
            elif len(chunks) == 1 and self.owner[chunk] in (length, SHARED):
                self.holes.setdefault(length, []).append((chunk, offset))

    def lay(self, others: Iterable["Site"], chunks: Iterable[int], offset: int, length: int) -> None:
        """Serve an interval that is not free; `lift` is the opposite."""
        mask = (1 << length) - 1 << offset
        for chunk in chunks:
            self.over.add(chunk, mask)
            for other in others:
                other.noise.add(chunk, mask)

    def lift(self, others: Iterable["Site"], chunks: Iterable[int], offset: int, length: int) -> None:
        mask = (1 << length) - 1 << offset
        for chunk in chunks:
            self.over.remove(chunk, mask)
            self.reopen(chunk)
            for other in others:
                other.noise.remove(chunk, mask)
                other.reopen(chunk)

    def reopen(self, chunk: int) -> None:
        """Something in the chunk became free: no length is shut out of it any more."""
        for shut in self.shut.values():
            shut.discard(chunk)

    def _emptied(self, chunk: int) -> None:
        length = self.owner[chunk]
        if length in self.open and self.open[length][0] == chunk:
            self.open[length] = chunk, 0
            return
        self.owner[chunk] = EMPTY
        channel = chunk // MINUTES
        if channel in self.tops and not any(self.used[channel * MINUTES : (channel + 1) * MINUTES]):
            del self.tops[channel]
            self.rows = {length: row for length, row in self.rows.items() if row[0] != channel}
