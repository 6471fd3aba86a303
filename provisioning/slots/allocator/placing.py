"""Where a new slot goes, so that room stays in pieces that others can use.

Slots of a frame's period go into chunks of their own length: what leaves makes room for the next one of that length.
The channels are filled one after the other, so that the last ones stay open for slots whose data rate changes. In the
last two, slots of one length lie side by side in all minutes (rows, from the minute's begin) and short periods come
from the minute's end: both have room until the channel is full. What finds no such place goes wherever it fits.

The minutes that end with the reserve come last: as long as nobody has a slot in them, frames without one may use all of
them (closed_time.open_now).
"""

from collections.abc import Sequence
from typing import Final

from meterwire.slots import CHANNELS
from provisioning.slots.allocator.grid import CHUNKS, MINUTES, is_open_minute, runs
from provisioning.slots.allocator.site import EMPTY, SHARED, Site

SHARED_CHANNELS: Final = (CHANNELS - 2, CHANNELS - 1)
_FIRST_SHARED: Final = SHARED_CHANNELS[0] * MINUTES
_HOLES_TRIED: Final = 8

Spot = tuple[int, int]  # chunk, offset


def find_one(site: Site, others: Sequence[Site], length: int) -> Spot | None:
    """A place for one use of the frame."""
    ones = (1 << length) - 1
    return (
        _hole(site, others, length, ones)
        or _own_chunk(site, others, length, ones)
        or _row(site, others, length, ones)
        or _anywhere(site, others, length)
    )


def find_short(site: Site, others: Sequence[Site], length: int, step: int) -> Spot | None:
    """The same offset in every `step`-th minute: the latest one, on the last channel that has any."""
    for channel in range(CHANNELS - 1, -1, -1):
        best: Spot | None = None
        latest = 0
        for minute in range(step):
            chunks = range(channel * MINUTES + minute, (channel + 1) * MINUTES, step)
            offset = runs(site.free(others, chunks), length).bit_length() - 1
            # The open minute has its turn when the others are half full from their end.
            counted = offset - site.grid.bits // 2 if step > 1 and is_open_minute(minute) else offset
            if offset >= 0 and (best is None or counted > latest):
                best, latest = (chunks[0], offset), counted
        if best is not None:
            return best
    return None


def _hole(site: Site, others: Sequence[Site], length: int, ones: int) -> Spot | None:
    holes = site.holes.get(length)
    if not holes:
        return None
    kept: list[Spot] = []
    found = None
    while holes and len(kept) < _HOLES_TRIED and found is None:
        chunk, offset = hole = holes.pop()
        if site.owner[chunk] not in (length, SHARED) or site.own[chunk] >> offset & ones:
            continue
        if site.meets(others, chunk, offset, ones):
            kept.append(hole)
        else:
            found = hole
    holes[:0] = kept
    return found


def _own_chunk(site: Site, others: Sequence[Site], length: int, ones: int) -> Spot | None:
    last = site.grid.bits - length
    while True:
        opened = site.open.get(length)
        if opened is None:
            found = _empty_chunk(site)
            if found is None:
                return None
            chunk, offset = found, 0
            site.owner[chunk] = length
        else:
            chunk, offset = opened
        while offset <= last:
            met = site.meets(others, chunk, offset, ones)
            if not met:
                site.open[length] = chunk, offset + length
                return chunk, offset
            offset += met.bit_length()
        site.open.pop(length, None)


def _empty_chunk(site: Site) -> int | None:
    chunk, late = -1, None
    try:
        while True:
            chunk = site.owner.index(EMPTY, chunk + 1, _FIRST_SHARED)
            if not is_open_minute(chunk):
                return chunk
            late = chunk if late is None else late
    except ValueError:
        return late


def _row(site: Site, others: Sequence[Site], length: int, ones: int) -> Spot | None:
    while True:
        row = site.rows.get(length) or _new_row(site, length)
        if row is None:
            return None
        channel, offset, next_minute = row
        for minute in range(next_minute, MINUTES):
            chunk = channel * MINUTES + minute
            if not site.meets(others, chunk, offset, ones):
                site.rows[length] = channel, offset, minute + 1
                site.owner[chunk] = SHARED
                return chunk, offset
        site.rows.pop(length, None)


def _new_row(site: Site, length: int) -> tuple[int, int, int] | None:
    for channel in SHARED_CHANNELS:
        top = site.tops.get(channel, 0)
        if top + length <= site.grid.bits:
            site.tops[channel] = top + length
            return channel, top, 0
    return None


def _anywhere(site: Site, others: Sequence[Site], length: int) -> Spot | None:
    for chunk in range(CHUNKS):
        starts = site.starts(others, chunk, length)
        if starts:
            if site.owner[chunk] == EMPTY:
                site.owner[chunk] = SHARED
            return chunk, starts.bit_length() - 1
    return None
