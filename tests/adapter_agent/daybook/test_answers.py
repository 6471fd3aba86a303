"""What the portal asks for is sent as the very same bytes, within bounds, and only when the portal asked."""

import pytest

from adapter_agent.daybook.answers import MAX_FRAMES, MAX_REQUESTS, MAX_WAITING
from meterwire.seal import Key16
from meterwire.signed_day import (
    DayRefusal,
    LeafHash,
    LeafRuns,
    Reason,
    Run,
    SignatureHalf,
    SigningKey,
    Wanted,
    decode,
    leaf,
)
from tests.adapter_agent import cast
from tests.adapter_agent.daybook.cellar import BEGIN_DAY, Cellar


@pytest.fixture
async def cellar(tmp_path):
    """A day of 40 telegrams with a restart in it, over and told."""
    made = Cellar(tmp_path / "days")
    made.send(20)
    made.restart(skip=5)
    made.send(20)
    await made.pass_days(1.5)
    await made.uplinks()
    return made


async def test_missing_telegrams_come_again_as_the_very_same_bytes(cellar):
    cellar.ask(BEGIN_DAY, Wanted.TELEGRAMS, 1003, 2)
    answers = await cellar.uplinks()
    assert [(one.port, one.payload, one.counter) for one in answers] == [
        (16, cellar.sent[1003], 1003),
        (16, cellar.sent[1004], 1004),
    ]


async def test_of_telegrams_no_longer_held_the_hashes_come(cellar):
    await cellar.pass_days(3)
    cellar.send()
    await cellar.uplinks()
    await cellar.pass_days(1.5)
    await cellar.uplinks()
    cellar.ask(BEGIN_DAY, Wanted.TELEGRAMS, 1003, 1)
    (answer,) = await cellar.uplinks()
    expected = LeafHash(BEGIN_DAY, 1003, leaf(cast.DEV_EUI, 1003, 16, cellar.sent[1003]))
    assert decode(answer.payload, up=True) == expected


async def test_hashes_are_sent_when_hashes_are_asked_for(cellar):
    cellar.ask(BEGIN_DAY, Wanted.HASHES, 1019, 7)
    answers = await cellar.frames()
    assert [one.counter for one in answers] == [1019, 1025]


async def test_the_signature_comes_again(cellar):
    cellar.ask(BEGIN_DAY, Wanted.SIGNATURE)
    answers = await cellar.frames()
    assert [type(one) for one in answers] == [SignatureHalf, SignatureHalf, LeafRuns]
    assert cellar.verify(answers).leaves == 40


async def test_the_counters_that_were_used_come_again(cellar):
    cellar.ask(BEGIN_DAY, Wanted.RUNS)
    assert await cellar.frames() == [LeafRuns(BEGIN_DAY, (Run(1000, 20), Run(1025, 20)))]


async def test_the_signing_key_comes_again(cellar):
    cellar.ask(BEGIN_DAY, Wanted.KEY)
    assert [type(one) for one in await cellar.frames()] == [SigningKey]


@pytest.mark.parametrize("wanted", [Wanted.SIGNATURE, Wanted.TELEGRAMS, Wanted.HASHES, Wanted.RUNS])
async def test_for_a_day_of_which_nothing_is_held_the_answer_says_so(cellar, wanted):
    cellar.ask(BEGIN_DAY - 30, wanted, 5, 5)
    assert await cellar.frames() == [DayRefusal(BEGIN_DAY - 30, wanted, Reason.NOTHING_HELD)]


async def test_the_signature_of_the_day_that_goes_on_is_not_refused_but_waited_for(cellar):
    cellar.send()
    cellar.ask(BEGIN_DAY + 1, Wanted.SIGNATURE)
    assert await cellar.uplinks() == []


@pytest.mark.parametrize("strange", [Key16(bytes(16)), Key16(bytes(range(16)))])
async def test_a_stranger_gets_no_answer(cellar, strange, caplog):
    cellar.ask(BEGIN_DAY, Wanted.TELEGRAMS, 1003, 2, key=strange)
    assert await cellar.uplinks() == []
    assert "not believed" in caplog.text


@pytest.mark.parametrize("octets", ["", "20", "2f00", "20" + "00" * 17, "a0" + "00" * 43, "20" + "ff" * 60])
async def test_what_is_no_request_is_left_alone(cellar, octets):
    cellar.book.request(bytes.fromhex(octets))
    assert await cellar.uplinks() == []


async def test_one_request_brings_a_bounded_number_of_frames(cellar):
    cellar.ask(BEGIN_DAY, Wanted.TELEGRAMS, 0, 0xFFFF)
    assert len(await cellar.uplinks()) == MAX_FRAMES


async def test_the_same_request_twice_is_answered_once(cellar):
    for _ in range(2):
        cellar.ask(BEGIN_DAY, Wanted.TELEGRAMS, 1003, 2)
    assert len(await cellar.uplinks()) == 2


async def test_so_many_requests_an_hour_are_believed_and_no_more(cellar):
    for number in range(MAX_REQUESTS + 3):
        cellar.ask(BEGIN_DAY, Wanted.TELEGRAMS, 1000 + number, 1)
    assert len(await cellar.uplinks()) == MAX_REQUESTS
    await cellar.clock.advance(3600)
    cellar.ask(BEGIN_DAY, Wanted.TELEGRAMS, 1019, 1)
    assert len(await cellar.uplinks()) == 1


async def test_the_queue_is_bounded(cellar):
    for first in (1000, 1004, 1008, 1012, 1025, 1030):
        cellar.ask(BEGIN_DAY, Wanted.TELEGRAMS, first, 16)
        cellar.ask(BEGIN_DAY, Wanted.HASHES, first, 16)
    assert len(await cellar.uplinks()) == MAX_WAITING


async def test_answers_leave_the_air_alone_for_a_multiple_of_their_airtime(cellar):
    cellar.ask(BEGIN_DAY, Wanted.TELEGRAMS, 1000, 2)
    await cellar.clock.advance(max(0.0, cellar.book.due() - cellar.clock.monotonic()))
    cellar.book.done(cellar.book.take(), False, 2.0)
    assert cellar.book.due() - cellar.clock.monotonic() == 800.0
