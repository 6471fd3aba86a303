"""Whatever is added, changed and removed in whatever order: nobody moves unasked, and no two slots meet."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from meterwire.slots import PERIODS
from provisioning.slots.allocator import Allocator, Closed, Outcome
from tests.provisioning.slots.allocator.judging import Device, disturbed, in_closed_time

lengths = st.sampled_from((108, 166, 270, 950, 1688, 7990))
periods = st.sampled_from(PERIODS)
concentrators = st.integers(0, 3)
neighbours = st.sets(concentrators, max_size=3).map(tuple)


class Neighbourhood(RuleBasedStateMachine):
    """Four concentrators; slots of 8 s every minute fill them quickly."""

    @initialize(quantum=st.sampled_from((2, 10)), reserve=st.sampled_from((0.0, 0.025)), beacon=st.booleans())
    def plan(self, quantum: int, reserve: float, beacon: bool) -> None:
        self.allocator = Allocator(quantum, reserve, Closed(30_000, 300, 1330) if beacon else None)
        self.held: dict[int, Device] = {}
        self.over: dict[int, Device] = {}
        self.number = 0

    @rule(
        concentrator=concentrators,
        length=lengths,
        period=periods,
        heard=neighbours,
        count=st.sampled_from((1, 1, 3, 12)),
    )
    def add(self, concentrator: int, length: int, period: int, heard: tuple[int, ...], count: int) -> None:
        for _ in range(count):
            self.number += 1
            place = self.allocator.add(self.number, concentrator, length, period, heard)
            if place is None:
                return
            self._accept(self.number, Device(concentrator, heard, length, period, place))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), count=st.integers(1, 8))
    def remove(self, data: st.DataObject, count: int) -> None:
        for _ in range(min(count, len(self.held))):
            number = data.draw(st.sampled_from(sorted(self.held)))
            self.allocator.remove(number)
            del self.held[number]

    @precondition(lambda self: self.held)
    @rule(data=st.data(), length=lengths)
    def change(self, data: st.DataObject, length: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.held)))
        old = self.held.pop(number)
        outcome, place = self.allocator.change(number, length)
        if outcome is Outcome.FULL:
            assert place == old.place
            self.held[number] = old
            return
        new = old._replace(place=place, length_ms=length)
        self._accept(number, new)
        if outcome is Outcome.KEPT:
            shift = abs(new.place.phase_ms - old.place.phase_ms)
            assert min(shift, old.period_s * 1000 - shift) <= 1800

    @rule(concentrator=concentrators, length=lengths, period=periods, heard=neighbours)
    def squeeze_in(self, concentrator: int, length: int, period: int, heard: tuple[int, ...]) -> None:
        self.number += 1
        place, met_ms = self.allocator.least_overlap(self.number, concentrator, length, period, heard)
        device = Device(concentrator, heard, length, period, place)
        if met_ms:
            assert not in_closed_time(device, self.allocator.closed)
            self.over[self.number] = device
        else:
            self._accept(self.number, device)

    @precondition(lambda self: self.over)
    @rule(data=st.data())
    def take_the_squeezed_out(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.over)))
        self.allocator.remove(number)
        del self.over[number]

    @precondition(lambda self: self.held)
    @rule(data=st.data(), concentrator=concentrators)
    def hear(self, data: st.DataObject, concentrator: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.held)))
        old = self.held.pop(number)
        new = old._replace(heard=tuple({*old.heard, concentrator}))
        known = [*self.held.values(), *self.over.values()]
        served = [other for other in known if other.concentrator == concentrator != old.concentrator]
        met = disturbed(new, served) if concentrator not in old.heard else []
        if old.period_s <= 900:
            assert self.allocator.hear(number, concentrator) == (not met)
        elif met:
            assert not self.allocator.hear(number, concentrator)
        else:
            self.allocator.hear(number, concentrator)  # the turns of others in its place count too
        if met:
            self.over[number] = new
        else:
            self.held[number] = new

    @invariant()
    def nobody_has_moved(self) -> None:
        for number, device in {**self.held, **self.over}.items():
            assert self.allocator.place(number) == device.place

    def teardown(self) -> None:
        if not hasattr(self, "allocator"):
            return
        for number in [*self.held, *self.over]:
            self.allocator.remove(number)
        assert len(self.allocator) == 0
        assert [self.allocator.fill(name) for name in range(4)] == [0.0] * 4
        for name in range(4):
            self.allocator.add(name, name, 7990, 60, (0, 1, 2, 3))
        fresh = Allocator(self.allocator.grid.quantum_ms, 0, None, self.allocator.closed)
        fresh.add("all", 0, 7990, 60)
        assert self.allocator.place(0) == fresh.place("all")

    def _accept(self, number: int, device: Device) -> None:
        assert not disturbed(device, self.held.values())
        assert not disturbed(device, self.over.values())
        assert not in_closed_time(device, self.allocator.closed)
        self.held[number] = device


TestNeighbourhood = Neighbourhood.TestCase
TestNeighbourhood.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
