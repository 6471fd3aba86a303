"""Every frame of one concentrator's time with its energy, and what a further one would do to them and they to it.

What two frames do to each other is the simulation's physics (`adapter_agent.simulation`): energy during the overlap,
summed per spreading factor. Ratios are of energies, 1 is just enough.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Hashable, Iterable
from math import inf
from operator import attrgetter
from typing import Final

from provisioning.slots.allocator.grid import CHUNKS
from provisioning.slots.allocator.held import Held
from provisioning.slots.allocator.signal import NEEDED, SPREADING_FACTORS, Signal, typical_milliwatts
from provisioning.slots.allocator.site import Site

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

    def meet(self, other: "Frame") -> None:
        shared = min(self.end, other.end) - max(self.begin, other.begin)
        if shared > 0:
            self.met = self.met or {}
            self.met[other.kind] = self.met.get(other.kind, 0.0) + other.loud * shared


class Crowd:
    """The frames of a site, minute by minute. Made when something has to lie over others, out of what is held."""

    def __init__(self, site: Site, held: Iterable[Held]) -> None:
        self.minutes: list[list[Frame]] = [[] for _ in range(CHUNKS)]
        self.longest = [0.0] * CHUNKS
        turns: dict[Hashable, Frame] = {}
        for one in held:
            own = one.site is site
            if not own and site not in one.others:
                continue
            frame = frame_of(site, one.signal, one.offset, one.length, served=own)
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
                    if later.begin >= frame.end:
                        break
                    frame.meet(later)
                    later.meet(frame)

    def add(self, chunks: Iterable[int], frame: Frame) -> None:
        """Lay a further frame over the others."""
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
            shared = (end if end < frame.end else frame.end) - (begin if begin > frame.begin else frame.begin)
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

    def _between(self, chunk: int, begin: float, end: float) -> list[Frame]:
        frames = self.minutes[chunk]
        first = bisect_right(frames, begin - self.longest[chunk], key=_BEGIN)
        return frames[first : bisect_left(frames, end, first, key=_BEGIN)]


def frame_of(site: Site, signal: Signal, offset: int, length: int, *, served: bool) -> Frame:
    """The frame of a slot of `length` quanta at `offset`, as it arrives where it is `served`, or elsewhere."""
    quantum_ms = site.grid.quantum_ms
    guard_ms = min(signal.guard_ms, length * quantum_ms / 3)  # of what cannot have such a guard, anything will do
    level = signal.milliwatts if served else typical_milliwatts(signal.kind)
    begin, end = offset * quantum_ms + guard_ms, (offset + length) * quantum_ms - guard_ms
    return Frame(begin, end, signal.kind, level, level if served else 0.0)
