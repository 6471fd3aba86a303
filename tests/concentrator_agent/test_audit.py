"""The concentrator's own trail: what it was told is on record with the deed itself, chained, bounded, without keys."""

import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from concentrator_agent import audit
from concentrator_agent.audit import Row
from concentrator_agent.cli import main
from edge.clock import ManualClock
from edge.database import Database
from edge.sealedfile import Credential
from meterwire import messages
from tests.concentrator_agent.lab import Lab, Mote, wrapped


def trail(lab: Lab) -> list[Row]:
    return list(audit.rows(lab.database.read))


def told(lab: Lab) -> list[tuple[str, str, str | None, int | None]]:
    return [(row.what, row.result, row.dev_eui, row.revision) for row in trail(lab)]


def verdict(lab: Lab) -> str | None:
    return audit.verify(lab.database.read, lab.credential).fault


async def test_every_change_of_the_device_table_is_on_record(lab: Lab) -> None:
    one, two = Mote(1), Mote(2)
    await lab.devices(one.entry(), two.entry())
    await lab.devices(one.entry(root_key=wrapped(b"k" * 16, one.dev_eui)), base=1)
    await lab.devices(two.entry(foreign=True), base=2, remove=[one.dev_eui])
    assert told(lab) == [
        ("device.add", "ok", one.dev_eui, 1),
        ("device.add", "ok", two.dev_eui, 1),
        ("table.apply", "ok", None, 1),
        ("device.change", "ok", one.dev_eui, 2),
        ("table.apply", "ok", None, 2),
        ("device.remove", "ok", one.dev_eui, 3),
        ("device.change", "ok", two.dev_eui, 3),
        ("table.apply", "ok", None, 3),
    ]
    assert [row.detail for row in trail(lab) if row.what == "device.change"] == ["keys", "settings"]
    assert {row.who for row in trail(lab)} == {"portal"}
    assert verdict(lab) is None


async def test_devices_that_stay_as_they_are_fill_no_rows(lab: Lab) -> None:
    motes = [Mote(number) for number in range(1, 6)]
    await lab.devices(*(mote.entry() for mote in motes))
    await lab.devices(*(mote.entry() for mote in motes[:4]))
    assert told(lab)[-2:] == [("device.remove", "ok", motes[4].dev_eui, 2), ("table.apply", "ok", None, 2)]
    assert trail(lab)[-1].detail == "whole table, 1 devices touched"


async def test_what_was_refused_is_on_record_with_the_reason_and_a_repetition_once(lab: Lab) -> None:
    mote = Mote()
    await lab.devices(mote.entry(root_key=wrapped(mote.key, Mote(9).dev_eui)))
    assert told(lab)[0] == ("device.refuse", "key", mote.dev_eui, 1)
    gap = messages.DevicesCommand("0" * 26, messages.timestamp(0), 9, base=8)
    for _ in range(5):
        await lab.table.take(gap)
    assert told(lab)[2:] == [("table.refuse", "revision_gap", None, 9)]
    assert trail(lab)[-1].command == gap.id


async def test_downlinks_are_on_record_without_what_they_carry(lab: Lab, mote: Mote) -> None:
    before = len(trail(lab))
    taken = lab.downlink_command(mote, b"\x01\x0bsecret", fport=33)
    late = lab.downlink_command(mote, expires_at="2001-01-01T00:00:00.000Z")
    never = lab.downlink_command(mote, expires_at="2099-02-31T00:00:00.000Z")
    for command, known in ((taken, True), (taken, True), (late, True), (late, True), (never, True)):
        await lab.queue.take(command, known)
    await lab.queue.take(msgspec.structs.replace(taken, id="0" * 26), known=False)
    rows = trail(lab)[before:]
    assert [(row.what, row.result, row.command) for row in rows] == [
        ("downlink.take", "ok", taken.id),
        ("downlink.refuse", "expired", late.id),
        ("downlink.refuse", "format", never.id),
        ("downlink.refuse", "unknown_device", "0" * 26),
    ]
    assert rows[0].detail == "port 33, 8 bytes"
    assert all(b"secret" not in repr(row).encode() for row in rows)


async def test_no_key_is_in_it(lab: Lab, mote: Mote) -> None:
    shown = repr(trail(lab))
    entry = mote.entry()
    assert entry.root_key is not None
    for secret in (mote.key, entry.root_key.wrapped, lab.credential._secret):
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown


async def test_a_deed_that_was_not_stored_is_not_on_record_either(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("concentrator_agent.store.apply_stage", fails)
    with pytest.raises(ValueError, match="a bug"):
        await lab.devices(Mote().entry())
    assert trail(lab) == []
    assert verdict(lab) is None


async def test_it_is_bounded_and_still_whole_after_the_oldest_went(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(audit_bound=10)
    for number in range(1, 31):
        await lab.devices(Mote(number).entry(), base=lab.table.revision)
    rows = trail(lab)
    assert [row.seq for row in rows] == list(range(51, 61))
    assert verdict(lab) is None
    assert audit.verify(lab.database.read, lab.credential).entries == 10


async def test_it_goes_on_over_a_restart(make_lab: Callable[..., Lab], lab: Lab) -> None:
    await lab.devices(Mote(1).entry())
    again = make_lab()
    await again.devices(Mote(2).entry(), base=1)
    assert [row.seq for row in trail(again)] == [1, 2, 3, 4]
    assert verdict(again) is None


@pytest.mark.parametrize("statement", ["UPDATE audit SET result = 'x'", "DELETE FROM audit WHERE seq = 2"])
async def test_rows_are_neither_changed_nor_taken_out(lab: Lab, mote: Mote, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        await lab.database.run(lambda connection: connection.execute(statement))


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE audit SET dev_eui = '0000000000000000' WHERE seq = 2", "row 2 was changed"),
        ("UPDATE audit SET at = at + 1 WHERE seq = 1", "row 1 was changed"),
        ("UPDATE audit SET detail = detail || 'x' WHERE seq = 4", "row 4 was changed"),
        ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 3", "row 3 was changed"),
        ("DELETE FROM audit WHERE seq = 3", "row 3 is missing"),
        ("DELETE FROM audit WHERE seq = 1", "row 1 is missing"),
        ("DELETE FROM audit WHERE seq >= 4", "ends with row 3, but row 5 was written"),
        ("DELETE FROM audit", "ends with row 0, but row 5 was written"),
        ("UPDATE audit SET seq = 9 WHERE seq = 5", "row 5 is missing"),
        ("DELETE FROM setting WHERE name = 'audit_key'", "rows but no key"),
        ("UPDATE setting SET value = zeroblob(60) WHERE name = 'audit_key'", "does not open"),
        ("DELETE FROM setting WHERE name = 'audit_head'", "row 0 was written"),
    ],
)
async def test_whoever_gets_round_the_lock_breaks_the_chain(lab: Lab, statement: str, fault: str) -> None:
    for number in range(1, 4):
        await lab.devices(Mote(number).entry(), base=lab.table.revision or None)
    assert len(trail(lab)) == 6

    def forge(connection: sqlite3.Connection) -> None:
        connection.execute("DROP TRIGGER audit_is_not_changed")
        connection.execute("DROP TRIGGER audit_loses_its_oldest_only")
        connection.execute("DELETE FROM audit WHERE seq = 6")
        audit._set_point(connection, "audit_head", 5, trail(lab)[4].hash)
        connection.execute(statement)

    await lab.database.run(forge)
    assert fault in (verdict(lab) or "")


async def test_a_head_that_was_taken_away_stops_no_work_but_shows(lab: Lab, mote: Mote) -> None:
    await lab.database.run(
        lambda connection: connection.execute("DELETE FROM setting WHERE name = 'audit_head'").rowcount
    )
    await lab.devices(Mote(2).entry(), base=1)
    assert [row.seq for row in trail(lab)] == [1, 2, 3, 4]
    assert "row 3 was changed" in (verdict(lab) or "")


async def test_another_credential_cannot_continue_the_chain(lab: Lab, mote: Mote) -> None:
    assert "does not open" in (audit.verify(lab.database.read, Credential(b"x" * 32)).fault or "")


def test_the_command_prints_and_checks_it_while_the_agent_runs(
    tmp_path: Path, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[concentrator]\neui = "0011223344556677"\nstate_dir = "state"\n[udp]\nport = 0\n')
    assert main(["audit", "--config", str(config)]) == 1
    assert "run the agent once" in capsys.readouterr().err
    assert main(["key", "--config", str(config)]) == 0
    capsys.readouterr()
    database = _trail_of_two(tmp_path, clock)
    assert main(["audit", "--config", str(config)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("portal device.add 70b3d57ed0060001 revision 7 ok")
    assert main(["audit", "--json", "--config", str(config)]) == 0
    row = json.loads(capsys.readouterr().out.splitlines()[1])
    assert (row["what"], row["result"], row["seq"], len(row["hash"])) == ("table.refuse", "revision_gap", 2, 64)
    assert "dev_eui" not in row
    assert main(["audit", "--since", row["at"], "--config", str(config)]) == 0
    assert capsys.readouterr().out.splitlines() == [second]
    assert main(["audit", "--since", "yesterday", "--config", str(config)]) == 1
    assert "2026-11-27" in capsys.readouterr().err
    assert main(["audit", "--verify", "--config", str(config)]) == 0
    assert capsys.readouterr().out.startswith("2 rows, whole; head 2 ")
    database.close()
    with sqlite3.connect(tmp_path / "state" / "concentrator.db") as connection:
        connection.execute("DROP TRIGGER audit_is_not_changed")
        connection.execute("UPDATE audit SET result = 'ok'")
    assert main(["audit", "--verify", "--json", "--config", str(config)]) == 1
    assert json.loads(capsys.readouterr().out)["fault"].startswith("row 2 was changed")


def _trail_of_two(folder: Path, clock: ManualClock) -> Database:
    from concentrator_agent import store
    from edge.sealedfile import load_credential

    database = Database(folder / "state" / "concentrator.db", store.MIGRATIONS)
    database.open()
    trail = audit.Audit(load_credential(folder / "state" / "credential"), clock)
    trail.note(database._write, [audit.Note("device.add", "ok", "70b3d57ed0060001", 7)])
    clock._step(clock.monotonic() + 5.0)
    trail.note(database._write, [audit.Note("table.refuse", "revision_gap", None, 9)])
    return database


@pytest.mark.parametrize("seed", range(5))
async def test_the_chain_is_whole_after_whatever_happened(make_lab: Callable[..., Lab], seed: int) -> None:
    chance = random.Random(seed)
    lab = make_lab(audit_bound=17)
    for _ in range(40):
        motes = [Mote(number).entry() for number in chance.sample(range(1, 9), 3)]
        match chance.randrange(4):
            case 0:
                await lab.devices(*motes)
            case 1:
                await lab.devices(motes[0], base=lab.table.revision or None, remove=[motes[1].dev_eui])
            case 2:
                await lab.queue.take(lab.downlink_command(Mote(1)), chance.random() < 0.5)
            case _:
                lab = make_lab(audit_bound=17)
    assert verdict(lab) is None
    assert len(trail(lab)) <= 17
