"""A day is signed once it is over, whatever happens to the adapter in it."""

import pytest

from adapter_agent.dates import SETTLE_S
from adapter_agent.daybook.book import MOST_FAULTS
from adapter_agent.daybook.folder import HASHES_S
from meterwire import key_messages, signed_day
from meterwire.curves import Curve
from meterwire.errors import AuthenticationError
from meterwire.signed_day import LeafRuns, SignatureHalf, SigningKey
from tests.adapter_agent import cast
from tests.adapter_agent.daybook.cellar import BEGIN_DAY, TRANSPORT, Cellar


@pytest.fixture
def cellar(tmp_path):
    return Cellar(tmp_path / "days")


async def test_a_day_is_announced_and_signed_in_two_frames_after_it_is_over(cellar):
    cellar.send(96)
    assert [type(one) for one in await cellar.frames()] == [SigningKey]
    await cellar.pass_days(1)
    frames = await cellar.frames()
    assert [type(one) for one in frames] == [SignatureHalf, SignatureHalf]
    assert cellar.verify(frames).day == BEGIN_DAY


async def test_the_brainpool_curve_signs_as_well(tmp_path):
    cellar = Cellar(tmp_path / "days", Curve.BRAINPOOL)
    cellar.send(3)
    await cellar.pass_days(1.5)
    assert cellar.verify(await cellar.frames()).leaves == 3


async def test_adapters_sign_at_different_times_within_hours_of_midnight(cellar):
    cellar.send()
    await cellar.frames()
    due = cellar.book.due() - cellar.clock.monotonic() + cellar.clock.time()
    midnight = signed_day.begin_of(BEGIN_DAY + 1).timestamp()
    assert midnight + 600 <= due <= midnight + 600 + 6 * 3600


async def test_a_day_that_goes_on_is_not_signed(cellar):
    cellar.send(5)
    await cellar.pass_days(0.4)
    assert [type(one) for one in await cellar.frames()] == [SigningKey]


async def test_a_day_without_telegrams_has_no_signature(cellar):
    cellar.send()
    await cellar.pass_days(3.5)
    cellar.send()
    frames = [one for one in await cellar.frames() if isinstance(one, SignatureHalf)]
    assert {one.day for one in frames} == {BEGIN_DAY}


async def test_a_restart_in_mid_day_leaves_a_gap_that_is_told(cellar):
    cellar.send(40)
    cellar.restart(skip=24)
    cellar.send(56)
    await cellar.pass_days(1.5)
    frames = await cellar.frames()
    assert [one.runs for one in frames if isinstance(one, LeafRuns)] != []
    assert cellar.verify(frames).leaves == 96


async def test_a_telegram_that_was_never_received_is_missed_by_the_signature(cellar):
    cellar.send(10)
    await cellar.pass_days(1.5)
    frames = await cellar.frames()
    del cellar.sent[1003]
    with pytest.raises(AssertionError):
        cellar.verify(frames)


async def test_a_changed_telegram_does_not_fit_the_signature(cellar):
    cellar.send(10)
    await cellar.pass_days(1.5)
    frames = await cellar.frames()
    cellar.sent[1003] = cellar.sent[1003][:-1] + b"?"
    with pytest.raises(AuthenticationError):
        cellar.verify(frames)


async def test_unacknowledged_frames_are_sent_again_ever_less_often_and_over_a_restart(cellar):
    cellar.send(2)
    await cellar.uplinks()
    await cellar.pass_days(1.5)
    tried = await cellar.uplinks(acknowledged=False, most=5)
    assert len({one.payload for one in tried}) == 1
    cellar.restart()
    assert [type(one) for one in await cellar.frames()] == [SignatureHalf, SignatureHalf]


async def test_what_has_arrived_is_not_sent_again_after_a_restart(cellar):
    cellar.send(2)
    await cellar.pass_days(1.5)
    await cellar.uplinks()
    cellar.restart()
    assert await cellar.uplinks() == []


async def test_without_a_trusted_date_no_day_is_signed_and_that_is_said(tmp_path, caplog):
    cellar = Cellar(tmp_path / "days")
    cellar.trusted = False
    cellar.restart()
    cellar.send(3)
    await cellar.pass_days(1.5)
    assert [type(one) for one in await cellar.frames()] == [SigningKey]
    assert "no trusted date" in caplog.text


async def test_without_a_transport_key_days_are_signed_and_sent_once_there_is_one(cellar):
    cellar.transport = None
    cellar.send(3)
    await cellar.pass_days(1.5)
    assert await cellar.uplinks() == []
    cellar.transport = TRANSPORT
    assert cellar.verify(await cellar.frames()).leaves == 3


async def test_the_announcement_is_authentic_and_names_the_key_that_signs(cellar):
    (uplink,) = await cellar.uplinks()
    signed_day.authenticate(uplink.payload, key_messages.mac_keys(TRANSPORT).up, cast.DEV_EUI)
    assert signed_day.decode(uplink.payload, up=True) == SigningKey(1, cellar.public)


async def test_another_curve_means_a_new_key_with_a_higher_number(cellar):
    await cellar.uplinks()
    cellar.curve = Curve.BRAINPOOL
    cellar.restart()
    assert [one.seq for one in await cellar.frames()] == [2]


async def test_the_private_key_survives_a_restart_and_is_only_ever_written_sealed(cellar):
    before = cellar.public
    cellar.restart()
    assert cellar.public == before
    assert cellar.signing.writes == 1


async def test_a_date_corrected_over_midnight_opens_no_signed_day_again(cellar):
    cellar.send(3)
    await cellar.pass_days(1.5)
    first = await cellar.frames()
    cellar.clock.jump(-0.6 * 86_400)
    cellar.send(2)
    assert cellar.verify(first, without=[1003, 1004]).leaves == 3
    cellar.clock.jump(0.6 * 86_400)
    await cellar.pass_days(1)
    later = await cellar.frames()
    assert {one.day for one in later} == {BEGIN_DAY + 1}


async def test_a_date_far_ahead_that_was_wrong_is_put_right(cellar):
    cellar.send(3)
    cellar.clock.jump(400 * 86_400)
    cellar.send(2)
    cellar.clock.jump(-400 * 86_400)
    cellar.send(1)
    await cellar.clock.advance(SETTLE_S)  # from then on the earlier date counts
    cellar.send(1)
    await cellar.pass_days(1.5)
    assert cellar.verify(await cellar.frames()).leaves == 7


async def test_a_wrong_day_of_which_only_hashes_are_left_holds_nothing_up(cellar, caplog):
    cellar.send(3)
    cellar.clock.jump(400 * 86_400)
    for _ in range(4):  # so long that the first wrong day is signed and shrinks
        cellar.send(2)
        await cellar.pass_days(1)
        await cellar.uplinks()
    assert f"{BEGIN_DAY + 400}.leaves" in [path.name for path in cellar.folder.iterdir()]
    cellar.clock.jump(-400 * 86_400)
    cellar.send(1)
    await cellar.clock.advance(SETTLE_S)
    cellar.send(2)
    assert {int(path.stem) for path in cellar.folder.iterdir()} == {BEGIN_DAY + 4}
    caplog.clear()
    writes = cellar.memory.writes
    cellar.send(1)
    assert (caplog.text, cellar.memory.writes) == ("", writes)
    await cellar.pass_days(1.5)
    assert {one.day for one in await cellar.frames()} == {BEGIN_DAY + 4}


async def test_old_days_shrink_to_hashes_and_go(cellar):
    for _ in range(5):
        cellar.send(4)
        await cellar.pass_days(1)
        await cellar.uplinks()
    held = sorted(path.name for path in cellar.folder.iterdir())
    assert f"{BEGIN_DAY}.leaves" in held
    assert f"{BEGIN_DAY + 4}.telegrams" in held
    await cellar.clock.advance(HASHES_S + 6 * 86_400)
    cellar.send(1)
    await cellar.pass_days(1.5)
    await cellar.uplinks()
    assert [path.name for path in cellar.folder.iterdir()] == [f"{BEGIN_DAY + 25}.telegrams"]


async def test_a_day_whose_file_stays_unreadable_is_set_aside_and_the_next_days_are_signed(cellar, tmp_path, caplog):
    cellar.send(4)
    await cellar.frames()
    cellar.restart()
    file = tmp_path / "days" / f"{BEGIN_DAY}.telegrams"
    file.unlink()
    file.mkdir()  # reading it fails for root, too
    await cellar.pass_days(1)
    cellar.send(7)
    await cellar.pass_days(1.5)
    signed = []
    for _ in range(12):
        signed += [one for one in await cellar.frames() if isinstance(one, SignatureHalf)]
        await cellar.pass_days(0.1)
    assert {one.day for one in signed} == {BEGIN_DAY + 1}
    assert (tmp_path / "days" / f"{BEGIN_DAY}.telegrams-unreadable").exists(), "kept, for whoever can read it"
    assert len([record for record in caplog.records if getattr(record, "alarm", "") == "day_lost"]) == 1


async def test_todays_file_that_becomes_unreadable_is_begun_anew(cellar, tmp_path):
    cellar.send(3)
    cellar.restart()
    file = tmp_path / "days" / f"{BEGIN_DAY}.telegrams"
    file.unlink()
    file.mkdir()
    cellar.send(MOST_FAULTS)
    cellar.send(6)
    await cellar.pass_days(1.5)
    assert cellar.verify(await cellar.frames()).leaves == 6


async def test_a_signed_day_that_becomes_unreadable_does_not_keep_the_telegrams_of_later_days(cellar, tmp_path):
    for _ in range(4):
        cellar.send(2)
        await cellar.pass_days(1)
        await cellar.frames()
    file = tmp_path / "days" / f"{BEGIN_DAY + 2}.telegrams"
    assert file.exists()
    file.unlink()
    file.mkdir()
    for _ in range(MOST_FAULTS):
        cellar.send()
        await cellar.pass_days(1)
        await cellar.frames()
    names = {path.name for path in cellar.folder.iterdir()}
    assert f"{BEGIN_DAY + 2}.telegrams-unreadable" in names
    assert {f"{BEGIN_DAY + 3}.leaves", f"{BEGIN_DAY + 4}.leaves"} <= names
    assert f"{BEGIN_DAY + 4}.telegrams" not in names
