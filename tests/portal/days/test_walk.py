"""A simulated day from the daybook to the verdict: losses, duplicates, restarts, late telegrams, forgeries."""

import random
from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest

from adapter_agent.daybook import Uplink
from meterwire import messages, signed_day
from meterwire.curves import Curve
from meterwire.key_messages import mac_keys
from meterwire.messages import Telegram
from meterwire.seal import Key16
from meterwire.signed_day import DayRefusal, LeafHash, LeafRuns, Reason, SignatureHalf, Wanted
from portal.days import proofs
from portal.days.models import DayState, SignedDay, SigningKey
from portal.telemetry.models import AdapterEvent
from portal.telemetry.models import Telegram as Stored
from provisioning.audit.models import Entry
from provisioning.keys.models import DeviceKey
from tests.portal.days.signer import TRANSPORT, Portal, Signer, hold_transport

pytestmark = pytest.mark.django_db


def uplink(payload: bytes) -> Uplink:
    return Uplink(34, payload)


def events(signer: Signer) -> list[str]:
    rows = AdapterEvent.objects.filter(adapter=signer.device.row, kind="security").order_by("stored_at")
    return [row.reason for row in rows]


def frames(signer: Signer) -> list[Telegram]:
    return [signer.carried(uplink) for uplink in signer.uplinks()]


def test_a_day_without_losses_is_signed(portal: Portal, signer: Signer) -> None:
    portal.hear(signer, *signer.live_a_day(period_s=900))
    portal.converse(signer, rounds=1)
    row = portal.row(signer)
    assert (row.state, row.leaves, row.missing, row.uncovered) == (DayState.SIGNED, 96, 0, 0)
    assert len(bytes(row.hashes)) == 96 * 32
    assert portal.asked == []


def test_the_brainpool_curve_is_verified_as_well(portal: Portal, signer: Signer) -> None:
    signer.curve = Curve.BRAINPOOL
    signer.restart()
    portal.hear(signer, *signer.live_a_day())
    portal.converse(signer, rounds=1)
    assert portal.row(signer).state == DayState.SIGNED


def test_a_restart_in_mid_day_skips_counters_and_the_day_is_signed_all_the_same(portal: Portal, signer: Signer) -> None:
    portal.hear(signer, *signer.live_a_day(restart_after=40))
    portal.converse(signer, rounds=1)
    row = portal.row(signer)
    assert (row.state, row.leaves) == (DayState.SIGNED, 48)
    assert (row.last_counter or 0) - (row.first_counter or 0) == 47 + 29
    assert len(row.runs) == 2


def test_lost_telegrams_are_asked_for_and_come_as_the_very_same_bytes(portal: Portal, signer: Signer) -> None:
    day = signer.live_a_day(restart_after=30)
    lost = {3, 4, 5, 31, 40, 47}
    portal.hear(signer, *(one for number, one in enumerate(day) if number not in lost))
    portal.converse(signer)
    row = portal.row(signer)
    assert (row.state, row.missing) == (DayState.SIGNED, 0)
    stored = dict(
        Stored.objects.filter(adapter=signer.device.row, fport=16, error=None).values_list("counter", "payload")
    )
    assert {one.counter: one.payload for one in day} == {counter: bytes(octets) for counter, octets in stored.items()}
    assert events(signer) == []


def test_any_losses_at_all_end_in_a_signed_day(portal: Portal, signer: Signer) -> None:
    dice = random.Random(11)
    day = signer.live_a_day(restart_after=dice.randrange(40))
    kept = [one for one in day if dice.random() > 0.3]
    portal.hear(signer, *dice.sample(kept, len(kept)))
    portal.converse(signer, rounds=40)
    assert portal.row(signer).state == DayState.SIGNED


def after_the_telegrams_are_gone(portal: Portal, signer: Signer, *lost: int) -> list[Telegram]:
    """A day of which some telegrams never arrived, and of which the adapter now holds only the hashes."""
    day = signer.live_a_day()
    told = frames(signer)
    for _ in range(4):
        signer.clock.step(86_400)
        signer.telegram()
        signer.uplinks()  # the daybook keeps house when it has something to say
    portal.hear(signer, *(one for number, one in enumerate(day) if number not in lost), *told)
    portal.converse(signer, rounds=4)
    return day


def test_what_the_adapter_no_longer_holds_leaves_a_day_signed_except_for_it(portal: Portal, signer: Signer) -> None:
    after_the_telegrams_are_gone(portal, signer, 10, 11, 40)
    row = SignedDay.objects.earliest("day")
    assert (row.state, row.missing) == (DayState.PARTIAL, 3)


def test_a_late_telegram_completes_a_day_that_lacked_it(portal: Portal, signer: Signer) -> None:
    day = after_the_telegrams_are_gone(portal, signer, 10, 11)
    portal.hear(signer, day[10])
    assert SignedDay.objects.earliest("day").missing == 1
    portal.hear(signer, day[11])
    assert SignedDay.objects.earliest("day").state == DayState.SIGNED


def test_duplicates_and_repeated_frames_change_nothing(portal: Portal, signer: Signer) -> None:
    day = signer.live_a_day()
    portal.hear(signer, *day, *day)
    told = frames(signer)
    portal.hear(signer, *told, *told)
    portal.hear(signer, *day[:5])
    assert portal.row(signer).state == DayState.SIGNED
    assert SigningKey.objects.count() == 1
    assert events(signer) == []


def test_a_signature_over_something_else_is_a_security_event(portal: Portal, signer: Signer) -> None:
    day = signer.live_a_day()
    portal.hear(signer, *day)
    changed = [changed_frame(one) for one in frames(signer)]
    portal.hear(signer, *changed)
    assert portal.row(signer).state == DayState.WRONG
    assert events(signer) == ["day_signature_wrong"]


def test_a_forged_signature_is_mended_by_asking_the_adapter_itself(portal: Portal, signer: Signer) -> None:
    portal.hear(signer, *signer.live_a_day())
    portal.hear(signer, *(changed_frame(one) for one in frames(signer)))
    portal.converse(signer)
    assert portal.row(signer).state == DayState.SIGNED
    assert events(signer) == ["day_signature_wrong"]


def changed_frame(telegram: Telegram) -> Telegram:
    """The second half of a signature with a bit changed; anything else as it is."""
    if telegram.payload[0] != 0xA2:
        return telegram
    payload = telegram.payload[:-1] + bytes([telegram.payload[-1] ^ 1])
    return msgspec.structs.replace(telegram, payload=payload)


def test_the_signature_of_another_day_is_worth_nothing_on_this_one(portal: Portal, signer: Signer) -> None:
    first = signer.day
    portal.hear(signer, *signer.live_a_day())
    yesterday = frames(signer)
    portal.hear(signer, *yesterday)
    signer.clock.step(86_400 - signer.clock.time() % 86_400)
    portal.hear(signer, *signer.live_a_day())
    today = frames(signer)
    replayed = []
    for old, new in zip([one for one in yesterday if one.payload[0] in (0xA1, 0xA2)], today, strict=True):
        payload = new.payload[:13] + old.payload[13:]  # today's head with yesterday's signature
        replayed.append(msgspec.structs.replace(new, payload=payload))
    portal.hear(signer, *replayed)
    assert portal.row(signer, day=first).state == DayState.SIGNED
    assert SignedDay.objects.latest("day").state == DayState.WRONG


def test_a_frame_about_a_day_that_is_not_over_or_long_gone_is_refused(portal: Portal, signer: Signer) -> None:
    for day in (signer.day, signer.day + 1, signer.day - 40):
        frame = SignatureHalf(0, day, 1, 1, 1, bytes(32))
        portal.hear_uplinks(signer, [uplink(signed_day.encode(frame))])
    assert not SignedDay.objects.exists()


@pytest.mark.parametrize(
    "octets", ["a0", "a1ff", "a3" + "00" * 38, "a4" + "00" * 8, "a50001000c", "af0102", "a5" + "00" * 60]
)
def test_frames_that_say_nothing_change_nothing(portal: Portal, signer: Signer, octets: str) -> None:
    portal.hear_uplinks(signer, [uplink(bytes.fromhex(octets))])
    assert not SignedDay.objects.exists()
    assert not SigningKey.objects.exists()


def test_hashes_and_runs_of_a_day_without_a_signature_make_no_row(portal: Portal, signer: Signer) -> None:
    signer.clock.step(86_400)
    for frame in (LeafHash(signer.day - 1, 5, bytes(32)), LeafRuns(signer.day - 1, (signed_day.Run(1, 5),))):
        portal.hear_uplinks(signer, [uplink(signed_day.encode(frame))])
    assert not SignedDay.objects.exists()


def test_a_forged_run_or_hash_cannot_make_a_day_signed(portal: Portal, signer: Signer) -> None:
    day = signer.live_a_day(restart_after=20)
    portal.hear(signer, *day[:30], *day[31:])
    told = [one for one in frames(signer) if one.payload[0] != 0xA4]
    portal.hear(signer, *told)
    number, missing = signed_day.number_of(portal.row(signer).day), day[30].counter
    assert missing is not None
    for frame in (LeafRuns(number, (signed_day.Run(day[0].counter or 0, 48),)), LeafHash(number, missing, bytes(32))):
        portal.hear_uplinks(signer, [uplink(signed_day.encode(frame))])
    assert portal.row(signer).state not in (DayState.SIGNED, DayState.PARTIAL)


def test_a_telegram_that_the_daybook_lost_shows_as_not_covered(portal: Portal, signer: Signer) -> None:
    day = signer.live_a_day()
    signer.restart()
    unnoted = signer.device.telegram((1, 5), received_at=messages.timestamp(signer.clock.time() - 1))
    portal.hear(signer, *day, unnoted)
    portal.converse(signer, rounds=1)
    assert portal.row(signer).uncovered == 0  # it lies behind the day's last counter: the next day tells
    portal.hear(signer, *signer.live_a_day())
    portal.converse(signer, rounds=1)
    assert SignedDay.objects.latest("day").uncovered == 1


def test_a_day_without_a_signature_is_asked_for_and_found_unsigned(portal: Portal, signer: Signer) -> None:
    portal.hear_uplinks(signer, signer.uplinks())
    day = signer.device.telegram((1, 5), received_at=messages.timestamp(signer.clock.time()))
    portal.hear(signer, day)
    signer.clock.step(86_400 + 8 * 3600)
    portal.converse(signer, rounds=3)
    assert [command.payload[3] for command in portal.asked] == [Wanted.SIGNATURE]
    assert portal.row(signer).state == DayState.UNSIGNED


def test_an_adapter_that_does_not_answer_is_asked_ever_less_often_and_then_left_alone(
    portal: Portal, signer: Signer
) -> None:
    day = signer.live_a_day()
    portal.hear(signer, *day[1:])
    portal.hear(signer, *frames(signer))
    times = []
    for _ in range(24 * 3):
        times += [signer.clock.time() for _ in portal.turn(signer)]
        signer.clock.step(3600)
    assert portal.row(signer).state == DayState.UNVERIFIED
    assert len(times) == 11
    assert all(later - earlier >= 1200 for earlier, later in pairwise(times))
    kinds = [command.payload[3] for command in portal.asked]
    assert kinds == [Wanted.TELEGRAMS] * 6 + [Wanted.HASHES] * 6


def test_a_refusal_spares_the_waiting(portal: Portal, signer: Signer) -> None:
    day = signer.live_a_day()
    portal.hear(signer, *day[1:])
    portal.hear(signer, *frames(signer))
    number = signed_day.number_of(portal.row(signer).day)
    refusal = DayRefusal(number, Wanted.TELEGRAMS, Reason.NOTHING_HELD)
    portal.hear_uplinks(signer, [uplink(signed_day.encode(refusal))])
    assert portal.row(signer).state == DayState.UNVERIFIED
    portal.hear(signer, day[0])
    assert portal.row(signer).state == DayState.SIGNED


def test_nobody_is_asked_through_a_concentrator_that_is_away(portal: Portal, signer: Signer) -> None:
    portal.hear(signer, *signer.live_a_day()[1:])
    portal.stage.concentrator.online = False
    portal.stage.concentrator.save()
    portal.hear(signer, *frames(signer))
    assert portal.asked == []


def test_the_first_key_is_trusted_under_the_transport_key_and_written_down(portal: Portal, signer: Signer) -> None:
    portal.hear_uplinks(signer, signer.uplinks())
    row = SigningKey.objects.get()
    assert row.seq == 1
    assert Entry.objects.get(action="signing_key.trusted").data["public"] == row.public
    assert events(signer) == []


def test_a_changed_key_needs_the_transport_key_too_and_raises_an_event(portal: Portal, signer: Signer) -> None:
    portal.hear(signer, *signer.live_a_day())
    signer.curve = Curve.BRAINPOOL
    portal.hear_uplinks(signer, signer.uplinks())
    signer.restart()
    portal.hear_uplinks(signer, signer.uplinks())
    assert [row.seq for row in SigningKey.objects.order_by("pk")] == [1, 2]
    assert events(signer) == ["signing_key_changed"]
    assert Entry.objects.filter(action="signing_key.changed").count() == 1


def test_a_strangers_key_is_refused_and_reported(portal: Portal, signer: Signer) -> None:
    signer.transport = Key16(bytes(16))
    portal.hear_uplinks(signer, signer.uplinks())
    assert not SigningKey.objects.exists()
    assert events(signer) == ["signing_key_refused"]


def test_an_old_key_announced_again_is_refused(portal: Portal, signer: Signer) -> None:
    first = signer.uplinks()
    portal.hear_uplinks(signer, first)
    signer.curve = Curve.BRAINPOOL
    signer.restart()
    portal.hear_uplinks(signer, signer.uplinks())
    portal.hear_uplinks(signer, first)
    assert SigningKey.objects.count() == 2
    assert events(signer) == ["signing_key_changed", "signing_key_refused"]


def test_a_key_begins_anew_under_a_newer_transport_key(portal: Portal, signer: Signer) -> None:
    portal.hear_uplinks(signer, signer.uplinks())
    DeviceKey.objects.filter(purpose="transport").update(state="retiring")
    signer.transport = Key16(bytes(range(99, 115)))
    hold_transport(portal.stage, signer.device, signer.transport, version=2)
    signer.signing.content = signer.memory.content = None
    signer.entropy = 8
    signer.restart()
    portal.hear_uplinks(signer, signer.uplinks())
    assert [(row.seq, row.transport_version) for row in SigningKey.objects.order_by("pk")] == [(1, 1), (1, 2)]


def test_a_signature_before_its_key_waits_for_the_key(portal: Portal, signer: Signer) -> None:
    portal.hear(signer, *signer.live_a_day())
    portal.hear(signer, *(one for one in frames(signer) if one.payload[0] != 0xA0))
    assert portal.row(signer).state == DayState.WAITING
    assert portal.asked[-1].payload[3] == Wanted.KEY
    portal.converse(signer)
    assert portal.row(signer).state == DayState.SIGNED


def test_requests_are_authentic_for_the_adapter(portal: Portal, signer: Signer) -> None:
    portal.hear(signer, *signer.live_a_day()[1:])
    portal.hear(signer, *frames(signer))
    (command,) = portal.asked
    signed_day.authenticate(command.payload, mac_keys(TRANSPORT).down, signer.dev_eui)
    assert (command.fport, command.dev_eui) == (34, signer.device.row.dev_eui)


def test_a_day_stays_proven_when_its_telegrams_are_deleted(portal: Portal, signer: Signer) -> None:
    portal.hear(signer, *signer.live_a_day())
    portal.converse(signer, rounds=1)
    Stored.objects.all().delete()
    SignedDay.objects.update(next_at=portal.row(signer).changed_at)
    signer.clock.step(3600)
    portal.turn(signer)
    assert (portal.row(signer).state, portal.row(signer).missing) == (DayState.SIGNED, 0)


def test_a_day_of_which_only_some_runs_came_stays_proven_too(portal: Portal, signer: Signer) -> None:
    day = signer.live_a_day(restart_after=20)
    portal.hear(signer, *day[:30], *day[31:])
    portal.hear(signer, *(one for one in frames(signer) if one.payload[0] != 0xA4))
    number, first = signed_day.number_of(portal.row(signer).day), day[0].counter
    assert first is not None
    portal.hear_uplinks(signer, [uplink(signed_day.encode(LeafRuns(number, (signed_day.Run(first, 20),))))])
    portal.hear(signer, day[30])
    assert portal.row(signer).state == DayState.SIGNED
    Stored.objects.all().delete()
    assert [one["counter"] for one in proofs.proof(portal.row(signer))["telegrams"]] == [one.counter for one in day]


def test_an_adapter_is_not_asked_for_ever_about_a_wrong_day_that_lacks_telegrams(
    portal: Portal, signer: Signer
) -> None:
    after_the_telegrams_are_gone(portal, signer, 10)
    row = SignedDay.objects.earliest("day")
    digests = {str(row.first_counter + 10): bytes(row.hashes)[320:352].hex()} if row.first_counter else {}
    SignedDay.objects.filter(pk=row.pk).update(
        state=DayState.WAITING, s=bytes(32), hashes=b"", digests=digests, missing=0, next_at=row.changed_at, asked=0
    )
    portal.asked.clear()
    for _ in range(24 * 3):
        portal.turn(signer)
        signer.clock.step(3600)
    row.refresh_from_db()
    assert (row.state, row.missing, row.next_at) == (DayState.WRONG, 1, None)
    assert [command.payload[3] for command in portal.asked] == [Wanted.SIGNATURE] * 6


def test_a_day_that_cannot_be_judged_holds_up_no_other_one(
    portal: Portal, signer: Signer, caplog: pytest.LogCaptureFixture
) -> None:
    portal.hear(signer, *signer.live_a_day())
    portal.converse(signer, rounds=1)
    row = portal.row(signer)
    broken = SignedDay.objects.create(
        adapter=row.adapter, organisation=row.organisation, day=row.day - timedelta(days=1), changed_at=row.changed_at,
        leaves=1, first_counter=1, last_counter=1, r=bytes(32), s=bytes(32), digests={"1": "no hash"},
        next_at=row.changed_at - timedelta(days=1),
    )  # fmt: skip
    SignedDay.objects.filter(pk=row.pk).update(state=DayState.WAITING, next_at=row.changed_at)
    portal.turn(signer)
    assert portal.row(signer, day=signed_day.number_of(row.day)).state == DayState.SIGNED
    broken.refresh_from_db()
    assert broken.next_at is not None
    assert broken.next_at.timestamp() > signer.clock.time()
    assert "a day could not be judged" in caplog.text


def test_what_is_looked_at_rests_afterwards(portal: Portal, signer: Signer) -> None:
    portal.hear(signer, *signer.live_a_day())
    portal.converse(signer, rounds=1)
    assert portal.row(signer).next_at is None
    assert portal.row(signer).changed_at == portal.row(signer).verified_at
