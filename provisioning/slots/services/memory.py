"""Allocators that a process keeps between transactions: reading 30,000 slots takes half a second, giving one a few ms.

What is kept is brought up to date under the locks of the concentrators concerned (SlotPlan) and never believed further
than that: the database refuses what meets, and then everything is read again.
"""

import os
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, cast

from meterwire.slots import FRAME_S
from provisioning.slots.allocator import Allocator, Outcome, Place, Rate, Stored
from provisioning.slots.closed_time import closed
from provisioning.slots.models import SlotPlan
from provisioning.slots.services.reading import among, at, changed_since

MOST: Final = 300_000  # slots kept by a process, about 1 kB each; the largest neighbourhoods have nine concentrators
MOST_WORLDS: Final = 50  # an empty one takes some 0.1 MB
_MOST_DB: Final = 99.0  # only guards may lie over each other: then nothing disturbs at all
_FRAMES: Final = 86_400 // FRAME_S


@dataclass(frozen=True, slots=True)
class Given:
    """A place at the data rate `chosen` (an index), and how much of other slots it meets, ms per day.

    `margin_db`: by how much whoever fares worst there is stronger than it must be (allocator.Squeezed); 0 when none
    is met.
    """

    place: Place
    overlap_ms: int = 0
    chosen: int = 0
    margin_db: float = 0.0


class World:
    """One allocator for all concentrators whose plans divide time alike. Only used under the memory's lock."""

    def __init__(self, plan: SlotPlan) -> None:
        self._allocator = Allocator(plan.quantum_ms, reserve=0, downlinks=closed(plan))
        self._known: dict[int, Stored] = {}
        self._at: dict[int, set[int]] = {}  # concentrator -> who is served or heard there
        self._editions: dict[int, int] = {}  # concentrator -> up to which change all of it is here
        self._touched: dict[int, set[int]] = {}  # concentrator -> given here, and not known to have been committed

    def __len__(self) -> int:
        return len(self._known)

    def refresh(self, plan: SlotPlan) -> None:
        """All slots at the plan's concentrator as the database has them; its row is locked by this transaction."""
        concentrator, known = plan.pk, self._editions.get(plan.pk)
        touched = self._touched.get(concentrator, set())
        if plan.edition and known == plan.edition and not touched:  # 0 names no change, so it proves nothing
            return
        changed = None if known is None else changed_since(concentrator, known)
        if changed is None:
            present = at(concentrator)
            asked = present.keys() | self._at.get(concentrator, set())
        else:
            asked = changed | touched
            present = among(asked)
        differ = [device for device in asked if self._known.get(device) != present.get(device)]
        for device in differ:
            self._hold(device, None)  # first of all, because the place of one may be another one's now
        for device in differ:
            self._hold(device, present.get(device))
        self._editions[concentrator] = plan.edition
        self._touched.pop(concentrator, None)

    def give(self, rates: Sequence[Stored], *, near: Stored | None = None, or_overlap: bool = True) -> Given | None:
        """A place for a device that needs `rates[0]`; near the one of `near`, which it has now, if given.

        What else is in `rates` is for when nothing is free: there it does least harm. Without `or_overlap` nothing then
        changes, and None comes back. The places of `rates` are not looked at.
        """
        wanted = rates[0]
        device = cast(int, wanted.device)
        self._touch(device, self._known.get(device), wanted)
        self._hold(device, near)
        if near is not None:
            changed = self._allocator.change(device, wanted.length_ms, signal=wanted.signal)
            if changed.outcome is not Outcome.FULL:
                return self._given(wanted, Given(changed.place))
            if not or_overlap:
                return None
            self._hold(device, None)
        place = self._allocator.add(
            device, wanted.concentrator, wanted.length_ms, wanted.period_s, wanted.heard, signal=wanted.signal
        )
        if place is not None:
            return self._given(wanted, Given(place))
        if not or_overlap:
            return None
        choices = [Rate(rate.length_ms, rate.signal) for rate in rates]
        found = self._allocator.squeeze(device, wanted.concentrator, choices, wanted.period_s, wanted.heard)
        overlap_ms = max(round(found.overlap_ms * _FRAMES), 1) if found.overlap_ms else 0
        margin_db = round(min(max(found.margin_db, -_MOST_DB), _MOST_DB), 1) if overlap_ms else 0.0
        return self._given(rates[found.chosen], Given(found.place, overlap_ms, found.chosen, margin_db))

    def settle(self, concentrator: int, before: int, after: int, devices: Collection[int]) -> None:
        """The change from edition `before` to `after` that was made here has been committed."""
        if self._editions.get(concentrator) == before:
            self._editions[concentrator] = after
            self._touched.get(concentrator, set()).difference_update(devices)

    def _given(self, wanted: Stored, given: Given) -> Given:
        self._enter(wanted._replace(place=given.place))
        return given

    def _hold(self, device: int, wanted: Stored | None) -> None:
        held = self._known.get(device)
        if held == wanted:
            return
        if held is not None:
            self._allocator.remove(device)
            del self._known[device]
            for concentrator in _places(held):
                self._at[concentrator].discard(device)
        if wanted is not None:
            self._allocator.load((wanted,))
            self._enter(wanted)

    def _enter(self, held: Stored) -> None:
        device = cast(int, held.device)
        self._known[device] = held
        for concentrator in _places(held):
            self._at.setdefault(concentrator, set()).add(device)

    def _touch(self, device: int, *states: Stored | None) -> None:
        for state in states:
            for concentrator in _places(state) if state is not None else ():
                self._touched.setdefault(concentrator, set()).add(device)


class Memory:
    """The worlds of a process, for one thread at a time."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self.begin()

    def begin(self) -> None:
        """As a new process does: nothing is known, nobody waits."""
        self._lock = threading.RLock()
        self._worlds: dict[tuple[object, ...], World] = {}

    @contextmanager
    def world(self, plan: SlotPlan) -> Iterator[World]:
        """The one for this plan, to be refreshed; others wait meanwhile."""
        key = plan.quantum_ms, closed(plan)
        with self._lock:
            if sum(map(len, self._worlds.values())) > self._most:
                self._worlds.clear()
            if key not in self._worlds:
                if len(self._worlds) >= MOST_WORLDS:
                    self._worlds.clear()
                self._worlds[key] = World(plan)
            yield self._worlds[key]

    def forget(self) -> None:
        """Read everything again: what was here did not agree with the database."""
        with self._lock:
            self._worlds.clear()

    def settle(self, world: World, concentrator: int, before: int, after: int, devices: Collection[int]) -> None:
        """See World.settle."""
        with self._lock:
            world.settle(concentrator, before, after, devices)


def _places(state: Stored) -> tuple[int, ...]:
    return cast(tuple[int, ...], (state.concentrator, *state.heard))


memory: Final = Memory()
os.register_at_fork(after_in_child=memory.begin)  # its lock may be held by a thread that the child does not have
