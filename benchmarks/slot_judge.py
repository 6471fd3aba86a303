"""Finds conflicts between slots by writing out what they occupy in a day; shares nothing with the allocator."""

from collections import defaultdict
from collections.abc import Hashable, Iterable

from provisioning.slots.allocator import Allocator

DAY_MS = 86_400_000


def conflicts(
    allocator: Allocator, devices: Iterable[tuple[Hashable, Hashable, int, int, tuple[Hashable, ...]]]
) -> int:
    """How often a slot begins while another one lasts, at a concentrator that serves at least one of the two.

    `devices` are (device, concentrator, length in ms, period in s, others that hear it); those without a slot are left
    out. Only days are written out that a day's slot is in; otherwise an hour or a frame tells the same.
    """
    held = [entry for entry in devices if entry[0] in allocator]
    horizon_ms = max((period for *_, period, _ in held), default=900) * 1000
    lines: dict[tuple[Hashable, int], list[tuple[int, int, bool]]] = defaultdict(list)
    for device, concentrator, length, period, heard in held:
        channel, phase = allocator.place(device)
        for begin in range(phase, max(horizon_ms, 900_000), period * 1000):
            for name in {concentrator, *heard}:
                lines[name, channel].append((begin, begin + length, name == concentrator))
    return sum(_met(intervals) for intervals in lines.values())


def _met(intervals: list[tuple[int, int, bool]]) -> int:
    intervals.sort()
    served_until = heard_until = found = 0
    for begin, end, served in intervals:
        found += begin < served_until or (served and begin < heard_until)
        if served:
            served_until = max(served_until, end)
        heard_until = max(heard_until, end)
    return found
