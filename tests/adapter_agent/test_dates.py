"""The date is trusted when the network has told it, and for a day over a restart."""

from adapter_agent.dates import MEMORY_S, Dates
from edge.clock import ManualClock
from tests.adapter_agent.radio.network import Memory


def test_without_a_source_there_is_no_date():
    assert Dates(ManualClock(), Memory()).now() is None


def test_a_clock_that_is_declared_trusted_is_believed():
    clock = ManualClock()
    assert Dates(clock, Memory(), trusted=True).now() == clock.time()


async def test_the_network_time_goes_on_with_the_monotonic_clock_whatever_the_machine_says():
    clock = ManualClock()
    dates = Dates(clock, Memory())
    dates.tell(2_000_000_000.0, clock.monotonic())
    clock.jump(-10_000_000)
    await clock.advance(60)
    assert dates.now() == 2_000_000_060.0


async def test_the_date_survives_a_restart_for_a_day():
    clock, file = ManualClock(), Memory()
    Dates(clock, file).tell(2_000_000_000.0, clock.monotonic())
    await clock.advance(MEMORY_S - 1)
    assert Dates(clock, file).now() == 2_000_000_000.0 + MEMORY_S - 1
    await clock.advance(2)
    assert Dates(clock, file).now() is None


def test_a_machine_that_forgot_its_own_date_has_none():
    clock, file = ManualClock(), Memory()
    Dates(clock, file).tell(2_000_000_000.0, clock.monotonic())
    clock.jump(-1_000_000)
    assert Dates(clock, file).now() is None


def test_a_damaged_memory_is_no_date():
    file = Memory()
    for content in (b"", b"{}", b'{"unix": "x"}', b"\xff"):
        file.content = content
        assert Dates(ManualClock(), file).now() is None


async def test_the_network_is_asked_again_after_a_day():
    clock = ManualClock()
    dates = Dates(clock, Memory())
    assert dates.stale
    dates.tell(2_000_000_000.0, clock.monotonic())
    assert not dates.stale
    await clock.advance(86_400)
    assert dates.stale


async def test_frequent_answers_do_not_wear_the_flash():
    clock, file = ManualClock(), Memory()
    dates = Dates(clock, file)
    for _ in range(100):
        dates.tell(2_000_000_000.0 + clock.monotonic(), clock.monotonic())
        await clock.advance(5)
    assert file.writes == 1
