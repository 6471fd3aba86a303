"""Gives time slots to adapters, one after the other; what is assigned never moves by itself (design 7, [0150])."""

from collections.abc import Hashable, Iterable, Sequence
from enum import Enum
from math import inf
from typing import Final, NamedTuple

from meterwire.errors import MeterspanError, ValueOutOfRange
from meterwire.slots import DEFAULT_QUANTUM_MS, FRAME_S
from provisioning.slots.allocator import turns
from provisioning.slots.allocator.crowd import Crowd, frame_of
from provisioning.slots.allocator.grid import FRAME_MS, MINUTE_MS, MINUTES, Closed, Grid, Place, reserved, step_of
from provisioning.slots.allocator.held import Held, Wish
from provisioning.slots.allocator.near import find_near
from provisioning.slots.allocator.overlap import find_least, overlapped
from provisioning.slots.allocator.placing import Spot, find_one, find_short
from provisioning.slots.allocator.signal import Signal
from provisioning.slots.allocator.site import Site

TOLERANCE_MS: Final = 1800  # an SMGw takes values within 2 s; the rest is for the clock
TYPICAL: Final = Signal()  # of a device of which nothing is said


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


class Rate(NamedTuple):
    """One of the data rates that a device may be given: how long its slot is then, and how it is heard."""

    length_ms: int
    signal: Signal = TYPICAL


class Squeezed(NamedTuple):
    """A place at the data rate `chosen` (an index), and how many ms of other slots it meets in 900 s.

    Whoever fares worst there, the device or one of those it meets, is `margin_db` stronger than it must be: at 10 dB
    about one frame in a hundred is lost, at 5 dB one in eight, at 0 dB every second one, far below 0 dB all of them.
    """

    place: Place
    chosen: int
    overlap_ms: float
    margin_db: float


class Stored(NamedTuple):
    """An assignment as it was stored; `heard` are the other concentrators that hear the device."""

    device: Hashable
    concentrator: Hashable
    place: Place
    length_ms: int
    period_s: int
    heard: tuple[Hashable, ...] = ()
    signal: Signal = TYPICAL


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
        self._signals: dict[Signal, Signal] = {}  # likewise
        self._crowds: dict[Site, Crowd] = {}  # of full sites in which nothing else has changed since

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
        *,
        signal: Signal = TYPICAL,
    ) -> Place | None:
        """A slot that meets no other one at `concentrator`, which serves it, nor any served where it is `heard`.

        `signal` is how `concentrator` hears it; it only matters once others lie over it. None when there is no such
        room. SlotHeld, ValueOutOfRange.
        """
        self._new(device)
        held = _found(self._wish(concentrator, length_ms, period_s, heard, signal))
        return None if held is None else self._keep(device, held)

    def remove(self, device: Hashable) -> None:
        """Take a device's slot back. SlotHeld when it has none."""
        held = self._of(device)
        held.release()
        self._forget(held)
        del self._held[device]

    def place(self, device: Hashable) -> Place:
        """Where its slot is. SlotHeld when it has none."""
        return self._of(device).place

    def change(
        self, device: Hashable, length_ms: int, tolerance_ms: int = TOLERANCE_MS, signal: Signal | None = None
    ) -> Changed:
        """Another length for a device, after its data rate: the phase keeps within `tolerance_ms` where possible.

        `signal` is how it is heard from then on, None: as before. FULL changes nothing.
        """
        old = self._of(device)
        wish = old.wish._replace(length=self.grid.quanta(length_ms))
        if signal is not None:
            wish = wish._replace(signal=self._signal(signal))
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
        *,
        signal: Signal = TYPICAL,
    ) -> Overlapping:
        """A slot for a device when `add` found none: where it does least harm, 0 ms where nothing is met. As `add`."""
        squeezed = self.squeeze(device, concentrator, [Rate(length_ms, signal)], period_s, heard)
        return Overlapping(squeezed.place, squeezed.overlap_ms)

    def squeeze(
        self,
        device: Hashable,
        concentrator: Hashable,
        rates: Sequence[Rate],
        period_s: int = FRAME_S,
        heard: Iterable[Hashable] = (),
    ) -> Squeezed:
        """A slot at one of `rates`, best first: the first that fits, else the first that does little harm, else the
        least.

        All of them must be data rates at which `concentrator` hears the device. Over slots of another data rate that
        arrive about as loud a frame does little harm, over one of its own it nearly always does: so a device that
        comes when a concentrator is full fares better at a slower rate. SlotHeld, ValueOutOfRange.
        """
        self._new(device)
        if not rates:
            raise ValueOutOfRange("a slot needs a data rate: name at least one")
        wishes = [self._wish(concentrator, rate.length_ms, period_s, heard, rate.signal) for rate in rates]
        for chosen, wish in enumerate(wishes):
            held = _found(wish)
            if held is not None:
                return Squeezed(self._keep(device, held), chosen, 0.0, inf)
        sites = [wishes[0].site, *wishes[0].others]
        crowds = [self._crowd(site) for site in sites]
        spot, chosen, margin_db = find_least(wishes, crowds)
        wish = wishes[chosen]
        met = overlapped(wish, spot)
        place = self._keep(device, _over(wish, spot))
        for site, crowd in zip(sites, crowds, strict=True):
            crowd.add(wish.chunks(spot[0]), frame_of(wish, spot[1], served=site is wish.site))
            self._crowds[site] = crowd
        turns_per_slot = max(period_s / FRAME_S, 1)
        return Squeezed(place, chosen, met * self.grid.quantum_ms / turns_per_slot, margin_db)

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
        held = self._of(device)
        free = held.hear(self._site(concentrator))
        self._forget(held)
        return free

    def fill(self, concentrator: Hashable) -> float:
        """The share of a concentrator's time that is in slots, out of what is not closed; 1 is full."""
        site = self._sites.get(concentrator)
        return 0.0 if site is None else sum(site.used) / self.grid.capacity

    def _stored(self, stored: Stored) -> Held:
        row, in_frame = divmod(stored.place.phase_ms, FRAME_MS)
        minute, begin_ms = divmod(in_frame, MINUTE_MS)
        offset, off_grid_ms = divmod(begin_ms, self.grid.quantum_ms)
        length_ms = stored.length_ms + off_grid_ms
        wish = self._wish(stored.concentrator, length_ms, stored.period_s, stored.heard, stored.signal)
        self.grid.check(stored.place, stored.period_s, offset + wish.length)
        return Held(wish, (stored.place.channel * MINUTES + minute, offset), row)

    def _keep(self, device: Hashable, held: Held) -> Place:
        self._held[device] = held
        self._forget(held)
        return held.place

    def _forget(self, changed: Held) -> None:
        if self._crowds:
            for site in (changed.site, *changed.others):
                self._crowds.pop(site, None)

    def _crowd(self, site: Site) -> Crowd:
        crowd = self._crowds.get(site)
        if crowd is None:
            crowd = self._crowds[site] = Crowd(site, self._held.values())
        return crowd

    def _of(self, device: Hashable) -> Held:
        held = self._held.get(device)
        if held is None:
            raise SlotHeld(f"{device} has no slot; add it first")
        return held

    def _new(self, device: Hashable) -> None:
        if device in self._held:
            raise SlotHeld(f"{device} has a slot already; change or remove it")

    def _wish(
        self, concentrator: Hashable, length_ms: int, period_s: int, heard: Iterable[Hashable], signal: Signal
    ) -> Wish:
        step_of(period_s)
        site, length = self._site(concentrator), self.grid.quanta(length_ms)
        others = tuple(sorted({self._site(name) for name in heard if name != concentrator}, key=id))
        return Wish(site, self._groups.setdefault(others, others), length, period_s, self._signal(signal))

    def _signal(self, signal: Signal) -> Signal:
        known = self._signals.get(signal)
        if known is None:
            checked = signal.checked()
            known = self._signals.setdefault(checked, checked)
        return known

    def _site(self, concentrator: Hashable) -> Site:
        site = self._sites.get(concentrator)
        if site is None:
            site = self._sites[concentrator] = Site(self.grid)
        return site


def _found(wish: Wish) -> Held | None:
    site, others, length, period_s, _ = wish
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
