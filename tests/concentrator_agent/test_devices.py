"""The device table: desired state by revision, whole or as a change, with keys that nobody on the way can read."""

import random
import re
from collections.abc import Callable

import msgspec
import pytest

from concentrator_agent import store
from concentrator_agent.config import BeaconSettings
from concentrator_agent.server.join import open_transport_key
from meterwire import messages
from meterwire.time_entries import BeaconEntry, OpenTimeEntry, PlanEntry
from tests.concentrator_agent.lab import CONCENTRATOR, PRIVATE_KEY, Lab, Mote, wrapped


def command(lab: Lab, revision: int, *entries: messages.DeviceEntry, **changes: object) -> messages.DevicesCommand:
    made = messages.DevicesCommand(
        id=messages.ulid(lab.clock.time(), random.randbytes(10)),
        time=messages.timestamp(lab.clock.time()),
        revision=revision,
        upsert=entries,
    )
    return msgspec.structs.replace(made, **changes)


def known(lab: Lab) -> list[str]:
    return [dev_eui for (dev_eui,) in lab.database.read.execute("SELECT dev_eui FROM device ORDER BY dev_eui")]


async def test_a_table_in_parts_is_applied_when_all_are_in_and_answered_together(lab: Lab) -> None:
    motes = [Mote(number) for number in range(1, 4)]
    parts = [command(lab, 5, mote.entry(), part=number, parts=3) for number, mote in enumerate(motes, 1)]
    assert (await lab.table.take(parts[2])).results == ()
    assert (await lab.table.take(parts[0])).results == ()
    assert (await lab.table.take(parts[0])).results == ()
    assert known(lab) == []
    applied = await lab.table.take(parts[1])
    assert {result.id for result in applied.results} == {part.id for part in parts}
    assert all(result.code is None for result in applied.results)
    assert (lab.table.revision, lab.table.count) == (5, 3)
    assert known(lab) == [mote.dev_eui for mote in motes]


async def test_a_whole_table_removes_who_is_not_named_and_a_change_only_who_is(lab: Lab) -> None:
    one, two, three = Mote(1), Mote(2), Mote(3)
    await lab.table.take(command(lab, 1, one.entry(), two.entry()))
    await lab.table.take(command(lab, 2, three.entry(), base=1, remove=(one.dev_eui,)))
    assert known(lab) == [two.dev_eui, three.dev_eui]
    await lab.table.take(command(lab, 3, one.entry()))
    assert known(lab) == [one.dev_eui]


async def test_a_change_on_another_revision_is_answered_with_a_gap(lab: Lab) -> None:
    await lab.table.take(command(lab, 1, Mote(1).entry()))
    gap = command(lab, 4, Mote(2).entry(), base=3)
    applied = await lab.table.take(gap)
    assert [(result.id, result.code) for result in applied.results] == [(gap.id, "revision_gap")]
    assert (lab.table.revision, known(lab)) == (1, [Mote(1).dev_eui])


async def test_a_repeated_revision_is_accepted_without_effect_and_an_old_one_refused(lab: Lab) -> None:
    await lab.table.take(command(lab, 7, Mote(1).entry()))
    again = await lab.table.take(command(lab, 7, Mote(2).entry()))
    assert [result.code for result in again.results] == [None]
    assert not again.changed
    assert [result.code for result in (await lab.table.take(command(lab, 6))).results] == ["revision_old"]
    wrong = await lab.table.take(command(lab, 8, part=3, parts=2))
    assert [result.code for result in wrong.results] == ["format"]
    assert known(lab) == [Mote(1).dev_eui]


async def test_a_newer_revision_replaces_one_that_is_incomplete(lab: Lab) -> None:
    await lab.table.take(command(lab, 2, Mote(1).entry(), part=1, parts=2))
    await lab.table.take(command(lab, 3, Mote(2).entry()))
    assert known(lab) == [Mote(2).dev_eui]


async def test_a_key_wrapped_for_somebody_else_refuses_that_device_alone(lab: Lab) -> None:
    good, bad, neither = Mote(1), Mote(2), Mote(3)
    entries = (
        good.entry(),
        bad.entry(root_key=wrapped(bad.key, good.dev_eui)),
        neither.entry(root_key=None),
    )
    applied = await lab.table.take(command(lab, 1, *entries))
    assert [(outcome.row.dev_eui, outcome.reason) for outcome in applied.refused] == [
        (bad.dev_eui, "key"),
        (neither.dev_eui, "format"),
    ]
    assert known(lab) == [good.dev_eui]


async def test_a_refused_entry_leaves_the_device_as_it_was(lab: Lab, mote: Mote) -> None:
    await lab.table.take(command(lab, 2, mote.entry(root_key=wrapped(mote.key, Mote(9).dev_eui))))
    lab.sessions.clear()
    await lab.hear(mote.frame(b"still here"))
    assert [telegram.payload for telegram in lab.telegrams()] == [b"still here"]


async def test_the_same_key_again_keeps_session_and_nonces_a_new_one_ends_them(lab: Lab, mote: Mote) -> None:
    await lab.devices(mote.entry(root_key=wrapped(mote.key, mote.dev_eui, seed=2)), base=1)
    await lab.hear(mote.frame(b"1"))
    assert await lab.hear(mote.join_request(mote.dev_nonce)) == []
    await lab.devices(mote.entry(root_key=wrapped(b"k" * 16, mote.dev_eui)), base=2)
    await lab.hear(mote.frame(b"2"))
    assert [telegram.payload for telegram in lab.telegrams()] == [b"1"]


async def test_a_personalised_device_keeps_its_counters_when_named_again(lab: Lab) -> None:
    mote = Mote()
    await lab.devices(mote.personalise(0xFC000001))
    frame = mote.frame(b"1", fcnt=100)
    await lab.hear(frame)
    await lab.devices(mote.personalise(0xFC000001), base=1)
    await lab.hear(frame)
    assert len(lab.telegrams()) == 1
    await lab.devices(mote.personalise(0xFC000002), base=2)
    await lab.hear(mote.frame(b"2", fcnt=0))
    assert [(telegram.fcnt, telegram.payload) for telegram in lab.telegrams()] == [(100, b"1"), (0, b"2")]


async def test_no_key_stands_readable_on_the_disk(lab: Lab, mote: Mote) -> None:
    await lab.hear(mote.frame())
    await lab.database.run(lambda connection: connection.execute("SELECT 1"))
    content = b"".join(file.read_bytes() for file in lab.database.path.parent.iterdir() if file.is_file())
    assert mote.session is not None
    assert mote.accept is not None
    keys = mote.root.derive(mote.accept.join_nonce, mote.accept.net_id, mote.dev_nonce)
    for secret in (mote.key, keys.nwk_s_key, keys.app_s_key, PRIVATE_KEY):
        assert secret not in content
        assert secret.hex().encode() not in content
    assert str(CONCENTRATOR)


async def test_the_revision_is_remembered_and_half_a_revision_is_not(make_lab, lab: Lab) -> None:  # type: ignore[no-untyped-def]
    await lab.table.take(command(lab, 3, Mote(1).entry()))
    await lab.table.take(command(lab, 4, Mote(2).entry(), part=1, parts=2))
    lab = make_lab()
    assert (lab.table.revision, known(lab)) == (3, [Mote(1).dev_eui])
    second = command(lab, 4, Mote(3).entry(), part=2, parts=2)
    assert (await lab.table.take(second)).results == ()
    await lab.table.take(command(lab, 4, Mote(2).entry(), part=1, parts=2))
    assert known(lab) == [Mote(2).dev_eui, Mote(3).dev_eui]


async def test_the_key_for_agreeing_keys_with_a_device_is_kept_sealed_and_goes_with_the_entry(lab: Lab) -> None:
    mote = Mote()
    carried = wrapped(b"t" * 16, mote.dev_eui, "transport")
    await lab.devices(mote.entry(transport_key=carried))
    await lab.join(mote)
    row = store.device(lab.database.read, mote.dev_eui)
    assert row is not None
    assert row.transport_key is not None
    assert open_transport_key(lab.credential, mote.dev_eui, row.transport_key) == b"t" * 16
    await lab.devices(mote.entry())
    row = store.device(lab.database.read, mote.dev_eui)
    assert row is not None
    assert row.transport_key is None
    assert row.joins == 1, "the root key was the same, so its nonces count on"


async def test_whole_tables_are_counted_and_changes_are_not(lab: Lab) -> None:
    assert lab.table.wholes == 0
    await lab.devices(Mote(1).entry())
    await lab.devices(Mote(2).entry(), base=lab.table.revision)
    assert lab.table.wholes == 1


PLAN = PlanEntry(BeaconEntry(869_525_000, 3, 300, 0), OpenTimeEntry(300, 292_500, 7500))


async def test_the_plan_of_time_comes_with_the_table_and_stays(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(beacon=BeaconSettings(enabled=True, period_s=900))
    assert lab.slots.plan.beacon == BeaconSettings(enabled=True, period_s=900), "the own settings"
    await lab.table.take(command(lab, 1, Mote(1).entry(), plan=PLAN))
    lab = make_lab(beacon=BeaconSettings(enabled=True, period_s=900))
    assert lab.slots.plan.planned == PLAN
    assert lab.slots.plan.beacon == BeaconSettings(enabled=True, period_s=300)
    await lab.table.take(command(lab, 2, base=1, plan=PlanEntry(open_time=PLAN.open_time)))
    assert lab.slots.plan.beacon is None, "the portal plans none"
    await lab.table.take(command(lab, 3, base=2))
    assert (lab.slots.plan.open_time, lab.slots.plan.beacon) == (None, BeaconSettings(enabled=True, period_s=900))


async def test_a_plan_holds_when_all_parts_are_in_whichever_brings_it(lab: Lab) -> None:
    await lab.table.take(command(lab, 1, Mote(1).entry(), part=1, parts=2, plan=PLAN))
    assert lab.slots.plan.planned is None
    await lab.table.take(command(lab, 1, Mote(2).entry(), part=2, parts=2))
    assert lab.slots.plan.planned == PLAN


@pytest.mark.parametrize(
    ("plan", "word"),
    [
        (PlanEntry(open_time=OpenTimeEntry(60, 60_000, 1000)), "outside its period"),
        (PlanEntry(open_time=OpenTimeEntry(60, 0, 60_000)), "fills its period"),
        (PlanEntry(BeaconEntry(869_525_000, 3, 60, 60_000)), "outside its period"),
        (PlanEntry(BeaconEntry(868_650_000, 3, 60, 0)), "868650000|868.65|sub-band"),
    ],
)
async def test_a_plan_that_cannot_be_followed_is_refused_with_its_table(lab: Lab, plan: PlanEntry, word: str) -> None:
    (result,) = (await lab.table.take(command(lab, 1, Mote(1).entry(), plan=plan))).results
    assert result.code == "format"
    assert re.search(word, result.message)
    assert (lab.table.revision, known(lab), lab.slots.plan.planned) == (0, [], None)


async def test_a_stored_plan_that_cannot_be_read_is_none(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    await lab.database.run(lambda connection: store.put_setting(connection, "plan", b"{nonsense"))
    assert make_lab().slots.plan.planned is None


async def test_a_change_of_the_plan_is_in_the_audit_trail(lab: Lab) -> None:
    await lab.table.take(command(lab, 1, plan=PLAN))
    await lab.table.take(command(lab, 2, base=1, plan=PLAN))
    rows = lab.database.read.execute("SELECT revision, detail FROM audit WHERE what = 'plan.change'").fetchall()
    assert [revision for revision, _ in rows] == [1]
    assert "292500" in rows[0][1]
