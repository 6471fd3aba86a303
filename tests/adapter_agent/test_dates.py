"""The date is trusted when the network has told it, and for a day over a restart."""

from adapter_agent.dates import MEMORY_S, SAVE_S, SETTLE_S, SLACK_S, TWICE_S, Dates
from edge.clock import ManualClock
from edge.sealedfile import SealedFileError
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


DAY = 2_000_000_000.0


async def test_an_earlier_date_is_believed_when_the_network_tells_it_twice(caplog):
    clock = ManualClock()
    dates = Dates(clock, Memory())
    dates.tell(DAY, clock.monotonic())
    await clock.advance(100)
    dates.tell(DAY - 86_400, clock.monotonic())
    assert dates.now() == DAY + 100
    assert dates.stale
    assert [record.alarm for record in caplog.records] == ["date_back"]
    await clock.advance(TWICE_S)
    dates.tell(DAY - 86_400 + TWICE_S, clock.monotonic())
    assert dates.now() == DAY - 86_400 + TWICE_S
    assert not dates.stale


async def test_the_same_answer_twice_at_once_is_one():
    clock = ManualClock()
    dates = Dates(clock, Memory())
    dates.tell(DAY, clock.monotonic())
    for _ in range(3):
        dates.tell(DAY - 86_400, clock.monotonic())
    assert dates.now() == DAY


async def test_two_different_earlier_dates_are_both_doubted():
    clock = ManualClock()
    dates = Dates(clock, Memory())
    dates.tell(DAY, clock.monotonic())
    for days in (1, 2, 3):
        await clock.advance(TWICE_S)
        dates.tell(DAY - days * 86_400, clock.monotonic())
    assert dates.now() == DAY + 3 * TWICE_S


async def test_a_right_answer_ends_the_doubt():
    clock = ManualClock()
    dates = Dates(clock, Memory())
    dates.tell(DAY, clock.monotonic())
    dates.tell(DAY - 86_400, clock.monotonic())
    dates.tell(DAY + 1, clock.monotonic())
    await clock.advance(TWICE_S)
    dates.tell(DAY - 86_400 + TWICE_S, clock.monotonic())
    assert dates.now() == DAY + 1 + TWICE_S


async def test_the_lower_bound_survives_a_restart_that_the_date_does_not():
    clock, file = ManualClock(), Memory()
    Dates(clock, file).tell(DAY, clock.monotonic())
    await clock.advance(3 * MEMORY_S)
    restarted = Dates(clock, file)
    restarted.tell(DAY - 86_400, clock.monotonic())
    assert restarted.now() is None
    await clock.advance(TWICE_S)
    restarted.tell(DAY - 86_400 + TWICE_S, clock.monotonic())
    assert restarted.now() == DAY - 86_400 + TWICE_S
    again = Dates(clock, file)
    assert again.now() == DAY - 86_400 + TWICE_S


def test_a_little_earlier_is_no_step_back():
    clock = ManualClock()
    dates = Dates(clock, Memory())
    dates.tell(DAY, clock.monotonic())
    dates.tell(DAY - SLACK_S, clock.monotonic())
    assert dates.now() == DAY - SLACK_S


async def test_a_trusted_clock_that_is_set_back_counts_when_it_keeps_to_it():
    clock, file = ManualClock(), Memory()
    dates = Dates(clock, file, trusted=True)
    begin = dates.now()
    await clock.advance(SAVE_S)
    assert dates.now() == begin + SAVE_S
    clock.jump(-86_400)
    restarted = Dates(clock, file, trusted=True)
    assert dates.now() == begin + SAVE_S
    assert restarted.now() is None
    await clock.advance(SETTLE_S - 1)
    assert dates.now() == begin + SAVE_S + SETTLE_S - 1
    assert restarted.now() is None
    await clock.advance(1)
    assert dates.now() == restarted.now() == begin + SAVE_S + SETTLE_S - 86_400
    assert Dates(clock, file, trusted=True).now() == begin + SAVE_S + SETTLE_S - 86_400


async def test_a_trusted_clock_that_was_put_right_counts_at_once():
    clock, file = ManualClock(), Memory()
    dates = Dates(clock, file, trusted=True)
    begin = dates.now()
    clock.jump(-86_400)
    assert Dates(clock, file, trusted=True).now() is None
    clock.jump(86_400)
    assert Dates(clock, file, trusted=True).now() == begin


def test_a_disk_that_takes_no_date_does_not_stop_it(caplog):
    class Full(Memory):
        def write(self, content: bytes) -> None:
            raise SealedFileError("no space")

    clock = ManualClock()
    dates = Dates(clock, Full())
    dates.tell(DAY, clock.monotonic())
    assert dates.now() == DAY
    assert "no space" in caplog.text
