"""The tests' own arithmetic: two slots meet when `Slot.overlaps` says so, pair by pair."""

from collections.abc import Iterable
from typing import NamedTuple

from meterwire.slots import Slot
from provisioning.slots.allocator import Closed, Place


class Device(NamedTuple):
    """One assignment as the tests know it."""

    concentrator: int
    heard: tuple[int, ...]
    length_ms: int
    period_s: int
    place: Place

    @property
    def slot(self) -> Slot:
        return slot(self.place, self.period_s, self.length_ms)


def slot(place: Place, period_s: int, length_ms: int) -> Slot:
    return Slot(place.channel, place.phase_ms, period_s, 0, 0, length_ms, 1)


def disturb(one: Device, other: Device) -> bool:
    """Whether a frame of one is lost at the concentrator of the other, or the other way round."""
    reach_one, reach_other = {one.concentrator, *one.heard}, {other.concentrator, *other.heard}
    near = one.concentrator in reach_other or other.concentrator in reach_one
    return near and one.slot.overlaps(other.slot)


def disturbed(new: Device, others: Iterable[Device]) -> list[Device]:
    return [other for other in others if disturb(new, other)]


def in_closed_time(device: Device, closed: Iterable[Closed]) -> bool:
    return any(
        device.slot.overlaps(slot(Place(device.place.channel, part.phase_ms), part.period_s, part.length_ms))
        for part in closed
    )
