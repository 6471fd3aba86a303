"""Gives time slots to adapters, one after the other; what is assigned never moves by itself (design 7, [0150])."""

from collections.abc import Hashable, Iterable
from enum import Enum
from typing import Final, NamedTuple

from meterwire.errors import MeterspanError
from meterwire.slots import DEFAULT_QUANTUM_MS, FRAME_S
from provisioning.slots.allocator import turns
from provisioning.slots.allocator.grid import FRAME_MS, MINUTE_MS, MINUTES, Closed, Grid, Place, reserved, step_of
from provisioning.slots.allocator.held import Held, Wish
from provisioning.slots.allocator.near import find_near
from provisioning.slots.allocator.overlap import find_least
from provisioning.slots.allocator.placing import Spot, find_one, find_short
from provisioning.slots.allocator.site import Site

TOLERANCE_MS: Final = 1800  # an SMGw takes values within 2 s; the rest is for the clock


class SlotHeld(MeterspanError):
    """The device has a slot already, or has none; the message says which."""

    code = "slot_held"


class Outcome(Enum):
    """What a changed length did. FULL: there is no room for it anywhere; the old slot is still held."""

    KEPT = "kept"
    MOVED = "moved"
    FULL = "full"


class Changed(NamedTuple):
    outcome: Outcome
    place: Place


class Overlapping(NamedTuple):
    """A place over other slots, and how many ms of theirs it meets in 900 s."""

    place: Place
    overlap_ms: float


class Stored(NamedTuple):
    """An assignment as it was stored; `heard` are the other concentrators that hear the device."""

    device: Hashable
    concentrator: Hashable
    place: Place
    length_ms: int
    period_s: int
    heard: tuple[Hashable, ...] = ()


class Allocator:
    """All concentrators of one plan. Devices and concentrators are named by any hashable; lengths are in ms.

    `reserve` is the share of the time that stays without slots, 0 to 0.1; `beacon` and `downlinks`, when the
    concentrators send, are closed on all channels. ValueOutOfRange for a quantum, period or length outside the plan.
    """

    def __init__(
        self,
        quantum_ms: int = DEFAULT_QUANTUM_MS,
        reserve: float = 0.025,
        beacon: Closed | None = None,
        downlinks: Iterable[Closed] = (),
    ) -> None:
        self.closed = tuple(part for part in (reserved(reserve), beacon, *downlinks) if part is not None)
        self.grid = Grid(quantum_ms, self.closed)
        self._sites: dict[Hashable, Site] = {}
        self._held: dict[Hashable, Held] = {}
        self._groups: dict[tuple[Site, ...], tuple[Site, ...]] = {}  # who hears the same shares one tuple

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, device: Hashable) -> bool:
        return device in self._held

    def add(
        self,
        device: Hashable,
        concentrator: Hashable,
        length_ms: int,
        period_s: int = FRAME_S,
        heard: Iterable[Hashable] = (),
    ) -> Place | None:
        """A slot that meets no other one at `concentrator`, which serves it, nor any served where it is `heard`.

        None when there is no such room. SlotHeld, ValueOutOfRange.
        """
        self._new(device)
        held = _found(self._wish(concentrator, length_ms, period_s, heard))
        return None if held is None else self._keep(device, held)

    def remove(self, device: Hashable) -> None:
        """Take a device's slot back. SlotHeld when it has none."""
        self._of(device).release()
        del self._held[device]

    def place(self, device: Hashable) -> Place:
        """Where its slot is. SlotHeld when it has none."""
        return self._of(device).place

    def change(self, device: Hashable, length_ms: int, tolerance_ms: int = TOLERANCE_MS) -> Changed:
        """Another length for a device, after its data rate: the phase keeps within `tolerance_ms` where possible."""
        old = self._of(device)
        wish = old.wish._replace(length=self.grid.quanta(length_ms))
        old.release()
        near = find_near(wish, old.spot, tolerance_ms // self.grid.quantum_ms)
        if near is not None:
            return Changed(Outcome.KEPT, self._keep(device, _at(wish, near, old.row)))
        found = _found(wish)
        if found is not None:
            return Changed(Outcome.MOVED, self._keep(device, found))
        return Changed(Outcome.FULL, self._keep(device, _exactly(old)))

    def least_overlap(
        self,
        device: Hashable,
        concentrator: Hashable,
        length_ms: int,
        period_s: int = FRAME_S,
        heard: Iterable[Hashable] = (),
    ) -> Overlapping:
        """A slot for a device when `add` found none: where it meets least of others, 0 ms where nothing. As `add`."""
        place = self.add(device, concentrator, length_ms, period_s, heard)
        if place is not None:
            return Overlapping(place, 0.0)
        wish = self._wish(concentrator, length_ms, period_s, heard)
        spot, met = find_least(wish)
        overlap_ms = met * self.grid.quantum_ms / max(period_s / FRAME_S, 1)
        return Overlapping(self._keep(device, _over(wish, spot)), overlap_ms)

    def load(self, assignments: Iterable[Stored]) -> list[Hashable]:
        """Hold what was stored, as it is; the devices whose slots meet one that was loaded before, or closed time.

        Nothing is left out: these lie over the others until they are removed. SlotHeld, ValueOutOfRange.
        """
        conflicts = []
        for stored in assignments:
            self._new(stored.device)
            held = _exactly(self._stored(stored))
            self._keep(stored.device, held)
            if held.over:
                conflicts.append(stored.device)
        return conflicts

    def hear(self, device: Hashable, concentrator: Hashable) -> bool:
        """From now on `concentrator` hears the device too. Whether its slot is free there; it stays in either case."""
        return self._of(device).hear(self._site(concentrator))

    def fill(self, concentrator: Hashable) -> float:
        """The share of a concentrator's time that is in slots, out of what is not closed; 1 is full."""
        site = self._sites.get(concentrator)
        return 0.0 if site is None else sum(site.used) / self.grid.capacity

    def _stored(self, stored: Stored) -> Held:
        row, in_frame = divmod(stored.place.phase_ms, FRAME_MS)
        minute, begin_ms = divmod(in_frame, MINUTE_MS)
        offset, off_grid_ms = divmod(begin_ms, self.grid.quantum_ms)
        wish = self._wish(stored.concentrator, stored.length_ms + off_grid_ms, stored.period_s, stored.heard)
        self.grid.check(stored.place, stored.period_s, offset + wish.length)
        return Held(wish, (stored.place.channel * MINUTES + minute, offset), row)

    def _keep(self, device: Hashable, held: Held) -> Place:
        self._held[device] = held
        return held.place

    def _of(self, device: Hashable) -> Held:
        held = self._held.get(device)
        if held is None:
            raise SlotHeld(f"{device} has no slot; add it first")
        return held

    def _new(self, device: Hashable) -> None:
        if device in self._held:
            raise SlotHeld(f"{device} has a slot already; change or remove it")

    def _wish(self, concentrator: Hashable, length_ms: int, period_s: int, heard: Iterable[Hashable]) -> Wish:
        step_of(period_s)
        others = tuple(sorted({self._site(name) for name in heard if name != concentrator}, key=id))
        return Wish(
            self._site(concentrator), self._groups.setdefault(others, others), self.grid.quanta(length_ms), period_s
        )

    def _site(self, concentrator: Hashable) -> Site:
        site = self._sites.get(concentrator)
        if site is None:
            site = self._sites[concentrator] = Site(self.grid)
        return site


def _found(wish: Wish) -> Held | None:
    site, others, length, period_s = wish
    if period_s > FRAME_S:
        return turns.find_turn(wish)
    step = step_of(period_s)
    spot = find_one(site, others, length) if step == MINUTES else find_short(site, others, length, step)
    return None if spot is None else _at(wish, spot, 0)


def _at(wish: Wish, spot: Spot, row: int) -> Held:
    """Holds a place that is free."""
    if wish.period_s > FRAME_S:
        return turns.new_turn(wish, spot, row)
    held = Held(wish, spot)
    wish.site.put(wish.others, held.chunks, spot[1], wish.length)
    return held


def _over(wish: Wish, spot: Spot, row: int = 0) -> Held:
    """Holds a place that is not free."""
    held = Held(wish, spot, row, over=True)
    wish.site.lay(wish.others, held.chunks, spot[1], wish.length)
    return held


def _exactly(held: Held) -> Held:
    """Holds what `held` describes at its very place, over others where it must."""
    wish, spot, row = held.wish, held.spot, held.row
    turn = turns.turn_at(wish, spot, row) if wish.period_s > FRAME_S else None
    if turn is not None:
        return turn
    return _at(wish, spot, row) if wish.fits(spot) else _over(wish, spot, row)
