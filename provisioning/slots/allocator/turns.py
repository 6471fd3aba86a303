"""Slots of an hour or a day: a turn in a container that is there, or in a new one."""

from typing import Final

from provisioning.slots.allocator.containers import Container, pattern
from provisioning.slots.allocator.held import Held, Wish
from provisioning.slots.allocator.placing import Spot, find_one

_TRIED: Final = 8


def find_turn(wish: Wish) -> Held | None:
    """The first free turn of the containers with room, else of a new one; None when the frame has no room for that."""
    for container in reversed(wish.site.containers.get(wish.length, [])[-_TRIED:]):
        row = container.row(wish.period_s)
        if row is not None and container.admits(wish.site, wish.others):
            return _taken(wish, container, row)
    spot = find_one(wish.site, wish.others, wish.length)
    return None if spot is None else new_turn(wish, spot, 0)


def new_turn(wish: Wish, spot: Spot, row: int) -> Held:
    """A turn in a new container at a place that is free."""
    container = Container(*spot, wish.length, wish.others)
    wish.site.put(wish.others, spot[:1], spot[1], wish.length)
    wish.site.containers.setdefault(wish.length, []).append(container)
    return _taken(wish, container, row)


def turn_at(wish: Wish, spot: Spot, row: int) -> Held | None:
    """The turn in the container that is at exactly this place, when it is free."""
    for container in wish.site.containers.get(wish.length, ()):
        here = (container.chunk, container.offset) == spot and container.has(wish.period_s, row)
        if here and container.admits(wish.site, wish.others):
            return _taken(wish, container, row)
    return None


def _taken(wish: Wish, container: Container, row: int) -> Held:
    container.free ^= pattern(wish.period_s, row)
    if not container.free:
        wish.site.containers[container.length].remove(container)
    return Held(wish, (container.chunk, container.offset), row, container)
