"""The free time of a concentrator as gaps between slots: how much of what would fit, counted without placing anything.

What a plan may promise is counted here from the database's figures alone; the allocator then has to keep it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from meterwire.slots import CHANNELS, FRAME_S
from provisioning.slots.allocator import Closed
from provisioning.slots.allocator.containers import ROWS, pattern
from provisioning.slots.allocator.grid import CHUNKS, FRAME_MS, MINUTE_MS, MINUTES

_ALL: Final = (1 << ROWS) - 1

Gap = tuple[int, int]  # quanta of a minute: from, to before
Taken = tuple[int, int, int, int]  # channel, phase (ms), period (s), length (ms)


class Gaps:
    """Free pieces of each of 8 x 15 minutes of the frame. Slots of longer periods share places in turns."""

    def __init__(self, quantum_ms: int, closed: Iterable[Closed], taken: Iterable[Taken] = ()) -> None:
        self._quantum_ms = quantum_ms
        # Length in quanta -> how many shared places have which frames free (a bit each): most of them are alike.
        self._shared: dict[int, Counter[int]] = {}
        busy: list[list[Gap]] = [[] for _ in range(CHUNKS)]
        for part in closed:
            for channel in range(CHANNELS):
                self._mark(busy, channel, part.phase_ms, part.period_s, part.length_ms)
        shared: dict[tuple[int, int, int], int] = {}
        for channel, phase_ms, period_s, length_ms in taken:
            frame, in_frame = divmod(phase_ms, FRAME_MS)
            if period_s > FRAME_S:
                place = channel, in_frame, length_ms
                known = place in shared
                shared[place] = shared.get(place, _ALL) & ~pattern(period_s, frame)
                if known:
                    continue
            self._mark(busy, channel, in_frame, min(period_s, FRAME_S), length_ms)
        for (_, _, length_ms), left in shared.items():
            self._places(self.quanta(length_ms))[left] += 1
        self._free = [_between(pieces, MINUTE_MS // quantum_ms) for pieces in busy]

    @property
    def free_ms(self) -> int:
        """Of all channels in 900 s, turns that are left in shared places not counted."""
        return sum(end - begin for gaps in self._free for begin, end in gaps) * self._quantum_ms

    def quanta(self, length_ms: int) -> int:
        """Rounded up."""
        return -(-length_ms // self._quantum_ms)

    def count(self, length_ms: int, period_s: int) -> int:
        """How many alike slots have room beside what is there."""
        length = self.quanta(length_ms)
        if period_s > FRAME_S:
            turns = sum(many * len(_turns(left, period_s)) for left, many in self._places(length).items())
            return turns + self.count(length_ms, FRAME_S) * (period_s // FRAME_S)
        columns = self._columns(period_s)
        return sum((end - begin) // length for chunks in columns for begin, end in self._common(chunks))

    def fill(self, length_ms: int, period_s: int, count: int) -> int:
        """Take room for up to `count` alike slots; for how many there was some."""
        length, left = self.quanta(length_ms), count
        if period_s > FRAME_S:
            left -= self._take_turns(length, period_s, left)
            turns = period_s // FRAME_S
            places = self.fill(length_ms, FRAME_S, -(-left // turns))
            self._places(length)[_ALL] += places
            return count - left + self._take_turns(length, period_s, min(left, places * turns))
        for chunks in self._columns(period_s):
            for begin, end in self._common(chunks):
                several = min((end - begin) // length, left)
                if several:
                    left -= several
                    for chunk in chunks:
                        self._cut(chunk, begin, begin + several * length)
        return count - left

    def _places(self, length: int) -> Counter[int]:
        return self._shared.setdefault(length, Counter())

    def _take_turns(self, length: int, period_s: int, wanted: int) -> int:
        places, missing = self._places(length), wanted
        for left, many in list(places.items()):
            rows = _turns(left, period_s)
            if not rows:
                continue
            whole, rest = divmod(min(missing, many * len(rows)), len(rows))
            for number, taken in ((whole, rows), (min(rest, 1), rows[:rest])):
                places[left] -= number
                places[left & ~sum(pattern(period_s, row) for row in taken)] += number
            missing -= whole * len(rows) + rest
        return wanted - missing

    def _columns(self, period_s: int) -> Sequence[range]:
        """The minutes that one slot takes, for each channel and first minute; short periods from the last channel."""
        step = period_s // 60
        channels = range(CHANNELS) if period_s == FRAME_S else range(CHANNELS - 1, -1, -1)
        return [range(at * MINUTES + minute, (at + 1) * MINUTES, step) for at in channels for minute in range(step)]

    def _common(self, chunks: range) -> list[Gap]:
        found = list(self._free[chunks[0]])
        for chunk in chunks[1:]:
            found = _both(found, self._free[chunk])
        return found

    def _cut(self, chunk: int, begin: int, end: int) -> None:
        pieces = []
        for low, high in self._free[chunk]:
            if high <= begin or low >= end:
                pieces.append((low, high))
                continue
            pieces += [piece for piece in ((low, begin), (end, high)) if piece[0] < piece[1]]
        self._free[chunk] = pieces

    def _mark(self, busy: list[list[Gap]], channel: int, phase_ms: int, period_s: int, length_ms: int) -> None:
        minute, begin_ms = divmod(phase_ms, MINUTE_MS)
        piece = begin_ms // self._quantum_ms, -(-(begin_ms + length_ms) // self._quantum_ms)
        for at in range(channel * MINUTES + minute, (channel + 1) * MINUTES, period_s // 60):
            busy[at].append(piece)


def _turns(left: int, period_s: int) -> list[int]:
    """The first frames of all turns of a period that are free."""
    wanted = ((row, pattern(period_s, row)) for row in range(period_s // FRAME_S))
    return [row for row, frames in wanted if left & frames == frames]


def _between(pieces: list[Gap], end: int) -> list[Gap]:
    found, at = [], 0
    for low, high in sorted(pieces):
        if low > at:
            found.append((at, low))
        at = max(at, high)
    if at < end:
        found.append((at, end))
    return found


def _both(one: list[Gap], other: list[Gap]) -> list[Gap]:
    found, i, j = [], 0, 0
    while i < len(one) and j < len(other):
        low, high = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if low < high:
            found.append((low, high))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return found
