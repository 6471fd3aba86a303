"""Whether the concentrator may set other clocks by its own."""

import pytest

from concentrator_agent.server.timekeeping import SETTLE_S, Timekeeper, wire_quality
from edge.clock import ManualClock
from edge.timesync import HostClock
from meterwire.clock_package import ClockQuality

MIDNIGHT = 1_782_864_000.0  # 2026-07-01


class Kernel:
    def __init__(self) -> None:
        self.says = HostClock(True)

    def __call__(self) -> HostClock:
        return self.says


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def keeper(clock: ManualClock, kernel: Kernel) -> Timekeeper:
    return Timekeeper(clock, "auto", kernel)


def test_the_kernel_tells_the_quality(keeper: Timekeeper, kernel: Kernel) -> None:
    assert keeper.quality() == "ntp"
    kernel.says = HostClock(False)
    assert keeper.refresh() == [("unsynchronised", {})]
    assert keeper.refresh() == []
    assert keeper.quality() == "free"


def test_a_configured_quality_stands(clock: ManualClock, kernel: Kernel) -> None:
    assert Timekeeper(clock, "none", kernel).quality() == "none"


def test_nobody_is_told_the_time_by_a_clock_that_is_worth_nothing(keeper: Timekeeper) -> None:
    assert [keeper.may_tell(quality) for quality in ("none", "free", "ntp", "gps")] == [False, True, True, True]


async def test_after_a_jump_nobody_is_told_the_time_until_ntp_has_held_for_a_while(
    keeper: Timekeeper, clock: ManualClock
) -> None:
    clock.jump(3600.0)
    assert keeper.look() == [("jump", {"offset_ms": 3_600_000.0})]
    assert not keeper.may_tell("ntp")
    assert keeper.may_tell("gps"), "the gateway's own time did not jump"
    await clock.advance(SETTLE_S - 1)
    assert keeper.look() == []
    assert not keeper.may_tell("ntp")
    await clock.advance(1)
    assert keeper.look() == [("settled", {})]
    assert keeper.may_tell("ntp")


async def test_a_free_clock_that_jumped_stays_in_doubt_until_it_is_set_back(clock: ManualClock, kernel: Kernel) -> None:
    kernel.says = HostClock(False)
    keeper = Timekeeper(clock, "auto", kernel)
    clock.jump(-3600.0)
    keeper.look()
    await clock.advance(10 * SETTLE_S)
    assert keeper.look() == []
    assert not keeper.may_tell("free")
    clock.jump(3600.0)
    assert [reason for reason, _ in keeper.look()] == ["jump", "settled"]
    assert keeper.may_tell("free")


def test_a_small_step_puts_the_clock_in_doubt_without_an_event(keeper: Timekeeper, clock: ManualClock) -> None:
    clock.jump(0.1)
    assert keeper.look() == []
    assert not keeper.may_tell("ntp")


def test_a_clock_that_nobody_set_since_power_came_tells_nobody_the_time(kernel: Kernel) -> None:
    """Without a battery a board begins in 1970, before there was GPS time."""
    kernel.says = HostClock(False)
    clock = ManualClock(30.0)
    keeper = Timekeeper(clock, "auto", kernel)
    assert (keeper.may_tell("free"), keeper.may_tell("gps")) == (False, True)
    clock.jump(MIDNIGHT)
    keeper.look()
    kernel.says = HostClock(True)
    keeper.refresh()
    assert not keeper.may_tell("ntp"), "as after any jump"


def test_adapters_that_disagree_outvote_a_free_clock_only(keeper: Timekeeper) -> None:
    keeper.disagreed = True
    assert not keeper.may_tell("free")
    assert keeper.may_tell("ntp")
    assert keeper.look() == [("contradicted", {})]
    assert keeper.look() == []
    keeper.disagreed = False
    assert keeper.look() == [("agreed", {})]


async def test_a_leap_second_moves_the_date_and_no_slot(kernel: Kernel) -> None:
    kernel.says = HostClock(True, leap=True)
    clock = ManualClock(MIDNIGHT - 0.5)
    keeper = Timekeeper(clock, "auto", kernel)
    before = keeper.gps(clock.time())
    assert keeper.leap_soon
    await clock.advance(2)
    clock.jump(-1.0)
    assert keeper.look() == [("leap_second", {})]
    assert keeper.may_tell("ntp")
    assert keeper.slot_time(clock.time()) == MIDNIGHT + 1.5
    assert keeper.gps(clock.time()) == before + 2
    later = Timekeeper(clock, "auto", kernel, keeper.leaps())
    assert later.slot_time(clock.time()) == MIDNIGHT + 1.5


def test_a_second_back_without_an_announcement_is_a_jump(keeper: Timekeeper, clock: ManualClock) -> None:
    clock.jump(-1.0)
    assert [reason for reason, _ in keeper.look()] == ["jump"]
    assert keeper.slot_time(clock.time()) == clock.time()


def test_stored_leap_seconds_that_cannot_be_read_are_none(clock: ManualClock, kernel: Kernel) -> None:
    assert Timekeeper(clock, "auto", kernel, b"[nonsense").slot_time(MIDNIGHT) == MIDNIGHT


def test_qualities_have_their_number_on_the_air() -> None:
    assert [wire_quality(one) for one in ("none", "free", "ntp", "gps")] == list(ClockQuality)


def test_before_the_time_source_was_heard_nobody_is_told_the_time(clock: ManualClock, kernel: Kernel) -> None:
    kernel.says = HostClock(False, usable=False)
    keeper = Timekeeper(clock, "auto", kernel)
    assert (keeper.quality(), keeper.may_tell("free")) == ("free", False)
    assert keeper.may_tell("gps"), "the gateway's own time"
    kernel.says = HostClock(True, reference="gps")
    clock.jump(7200.0)
    keeper.set_by_source("first")
    assert [reason for reason, _ in keeper.look()] == ["jump", "settled"]
    keeper.refresh()
    assert (keeper.quality(), keeper.may_tell("gps")) == ("gps", True)
    clock.jump(1.5)
    assert [reason for reason, _ in keeper.look()] == ["jump"], "a later one is as any other"
    assert not keeper.may_tell("ntp")


async def test_gateways_that_set_the_clock_by_a_jump_are_not_believed_at_once(
    clock: ManualClock, kernel: Kernel
) -> None:
    """Nobody authenticates them: their stamps vouch for the clock they have just set no more than it does itself."""
    kernel.says = HostClock(True, reference="gps")
    keeper = Timekeeper(clock, "auto", kernel)
    clock.jump(900.0)
    keeper.set_by_source("stepped")
    keeper.look()
    assert (keeper.quality(), keeper.may_tell("gps")) == ("gps", False)
    await clock.advance(SETTLE_S)
    assert keeper.look() == [("settled", {})]
    assert keeper.may_tell("gps")


def test_a_leap_second_that_the_source_brings_late_moves_no_slot(kernel: Kernel) -> None:
    clock = ManualClock(MIDNIGHT + 40.0)
    keeper = Timekeeper(clock, "auto", kernel)
    clock.jump(-1.0)
    keeper.set_by_source("leap")
    assert keeper.look() == [("leap_second", {})]
    assert keeper.slot_time(clock.time()) == MIDNIGHT + 40.0
