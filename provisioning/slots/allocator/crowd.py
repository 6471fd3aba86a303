"""Every frame of one concentrator's time with its energy, and what a further one would do to them and they to it.

What two frames do to each other is the simulation's physics (`adapter_agent.simulation`): energy during the overlap,
summed per spreading factor. Ratios are of energies, 1 is just enough.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Hashable, Iterable, Iterator
from heapq import merge
from itertools import islice
from math import inf, log, sqrt
from operator import attrgetter, itemgetter
from typing import Final

from provisioning.slots.allocator.grid import CHUNKS
from provisioning.slots.allocator.held import Held, Wish
from provisioning.slots.allocator.signal import NEEDED, SPREADING_FACTORS, typical_milliwatts
from provisioning.slots.allocator.site import Site

STRAY_MS: Final = 11  # by which two frames may come nearer to each other than planned: few do by more, with a beacon
_KINDS: Final = len(SPREADING_FACTORS)
_BEGIN: Final = attrgetter("begin")


class Frame:
    """On the air from `begin` to `end` (ms of its minute).

    Devices that take turns in one place are one frame: as loud as the loudest and as faint as the faintest (mW). One
    that is served elsewhere only disturbs: `faint` is 0.
    """

    __slots__ = ("begin", "end", "faint", "kind", "loud", "met")

    def __init__(self, begin: float, end: float, kind: int, loud: float, faint: float) -> None:
        self.begin, self.end, self.kind, self.loud, self.faint = begin, end, kind, loud, faint
        self.met: dict[int, float] | None = None  # mW ms of others by kind, where there are any

    def shared_ms(self, other: "Frame") -> float:
        """For how long both may be on the air, when one of them is late and the other one early."""
        both = min(self.end, other.end) - max(self.begin, other.begin) + STRAY_MS
        return min(both, self.end - self.begin, other.end - other.begin)

    def meet(self, other: "Frame") -> None:
        shared = self.shared_ms(other)
        if shared > 0:
            self.met = self.met or {}
            self.met[other.kind] = self.met.get(other.kind, 0.0) + other.loud * shared


class Crowd:
    """The frames of a site, minute by minute. Made when something has to lie over others, out of what is held."""

    def __init__(self, site: Site, held: Iterable[Held]) -> None:
        self.minutes: list[list[Frame]] = [[] for _ in range(CHUNKS)]
        self.longest = [0.0] * CHUNKS
        self.count = 0  # of what was laid over others since
        self._levels: list[list[tuple[float, int, int, Frame]]] = [[] for _ in range(_KINDS)]
        turns: dict[Hashable, Frame] = {}
        for one in held:
            own = one.site is site
            if not own and site not in one.others:
                continue
            frame = frame_of(one, one.offset, served=own)
            if one.container is not None:
                known = turns.setdefault(one.container, frame)
                known.loud, known.faint = max(known.loud, frame.loud), min(known.faint, frame.faint)
                if known is not frame:
                    continue
            for chunk in one.chunks:
                self.minutes[chunk].append(frame)
        for chunk, frames in enumerate(self.minutes):
            frames.sort(key=_BEGIN)
            self.longest[chunk] = max((frame.end - frame.begin for frame in frames), default=0.0)
            for number, frame in enumerate(frames):
                for later in frames[number + 1 :]:
                    if later.begin >= frame.end + STRAY_MS:
                        break
                    frame.meet(later)
                    later.meet(frame)
                if frame.faint:
                    self._levels[frame.kind].append((frame.loud, chunk, number, frame))
        for levels in self._levels:
            levels.sort()

    def add(self, chunks: Iterable[int], frame: Frame) -> None:
        """Lay a further frame over the others."""
        self.count += 1
        for chunk in chunks:
            for other in self._between(chunk, frame.begin, frame.end):
                other.meet(frame)
                frame.meet(other)
            insort(self.minutes[chunk], frame, key=_BEGIN)
            self.longest[chunk] = max(self.longest[chunk], frame.end - frame.begin)

    def ratio(self, chunk: int, new: Frame, floor: float) -> float:
        """How many times what it needs has whoever fares worst when `new` comes too.

        Where that is not over `floor`, the answer is any number up to it.
        """
        begin, end, kind, loud = new.begin, new.end, new.kind, new.loud
        met = [0.0] * _KINDS
        least = inf
        for frame in self._between(chunk, begin, end):
            shared = new.shared_ms(frame)
            if shared <= 0:
                continue
            met[frame.kind] += frame.loud * shared
            if frame.faint:
                burden = loud * shared
                if frame.met is not None:
                    burden += frame.met.get(kind, 0.0)
                ratio = frame.faint * (frame.end - frame.begin) / (NEEDED[frame.kind][kind] * burden)
                if ratio < least:
                    least = ratio
                    if least <= floor:
                        return least
        if new.faint:
            energy = new.faint * (end - begin)
            for needed, burden in zip(NEEDED[kind], met, strict=True):
                if burden and energy < least * needed * burden:
                    least = energy / (needed * burden)
        return least

    def matching(self, new: Frame, most: int) -> Iterator[tuple[int, Frame]]:
        """Up to `most` frames of each other kind that nothing lies over, with their chunks: first those beside which
        both would be heard equally well if the shorter one lay within the longer one.
        """
        for kind, levels in enumerate(self._levels):
            if kind == new.kind or not levels:
                continue
            _, _, _, some = levels[0]
            tolerated = (
                NEEDED[kind][new.kind] * (new.end - new.begin) / (NEEDED[new.kind][kind] * (some.end - some.begin))
            )
            wanted = new.loud * sqrt(tolerated)
            above = bisect_left(levels, wanted, key=itemgetter(0))
            nearest = merge(
                levels[above : above + most],
                levels[max(0, above - most) : above][::-1],
                key=lambda one: abs(log(one[0] / wanted)),
            )
            for _, chunk, _, frame in islice(nearest, most):
                if frame.met is None:
                    yield chunk, frame

    def _between(self, chunk: int, begin: float, end: float) -> list[Frame]:
        frames = self.minutes[chunk]
        first = bisect_right(frames, begin - STRAY_MS - self.longest[chunk], key=_BEGIN)
        return frames[first : bisect_left(frames, end + STRAY_MS, first, key=_BEGIN)]


def frame_of(slot: Wish | Held, offset: int, *, served: bool) -> Frame:
    """The frame in a slot at `offset`, as it arrives where it is `served`, or elsewhere."""
    quantum_ms, length, signal = slot.site.grid.quantum_ms, slot.length, slot.signal
    guard_ms = min(signal.guard_ms, length * quantum_ms / 3)  # of what cannot have such a guard, anything will do
    level = signal.milliwatts if served else typical_milliwatts(signal.kind)
    begin, end = offset * quantum_ms + guard_ms, (offset + length) * quantum_ms - guard_ms
    return Frame(begin, end, signal.kind, level, level if served else 0.0)
