"""Commands: only our own branch of the broker is obeyed, and after any outage both sides hold the same table."""

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from concentrator_agent.backhaul.commands import Commands
from meterwire import messages, topics
from meterwire.errors import FormatError
from tests.concentrator_agent.lab import CONCENTRATOR, Lab, Mote

EUI, OTHER = str(CONCENTRATOR), "0011223344556678"


class Wire:
    """Commands of a lab, and what they published."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.published: list[tuple[str, bytes]] = []
        self.commands = Commands(
            eui=EUI,
            table=lab.table,
            queue=lab.queue,
            partner=lab.partner,
            sessions=lab.sessions,
            pump=None,  # type: ignore[arg-type]  # no receipt of the portal is taken here
            outbox=lab.outbox,
            events=lab.events,
            heard=lab.heard,
            database=lab.database,
            publish=self._publish,
            on_change=self._nothing,
            clock=lab.clock,
            ulids=lambda: messages.ulid(lab.clock.time(), random.randbytes(10)),  # type: ignore[arg-type]
        )

    async def _publish(self, branch: str, body: bytes) -> None:
        self.published.append((branch, body))

    async def _nothing(self) -> None:
        pass

    async def send(self, command: messages.Command, eui: str = EUI, branch: str = topics.DN_COMMAND) -> None:
        await self.commands.take(topics.topic(eui, branch), messages.encode(command))

    def codes(self) -> dict[str, str | None]:
        receipts = [messages.decode_receipt(body) for branch, body in self.published if branch == topics.UP_RECEIPT]
        return {result.id: result.code for receipt in receipts for result in receipt.results}


def table_command(
    lab: Lab, revision: int, *motes: Mote, base: int | None = None, remove: tuple[str, ...] = ()
) -> messages.DevicesCommand:
    return messages.DevicesCommand(
        messages.ulid(lab.clock.time(), random.randbytes(10)),
        messages.timestamp(lab.clock.time()),
        revision,
        base,
        upsert=tuple(mote.entry() for mote in motes),
        remove=remove,
    )


def known(lab: Lab) -> set[str]:
    return {dev_eui for (dev_eui,) in lab.database.read.execute("SELECT dev_eui FROM device")}


async def test_a_command_on_our_branch_is_obeyed_and_answered(lab: Lab) -> None:
    wire = Wire(lab)
    command = table_command(lab, 1, Mote(1))
    await wire.send(command)
    assert known(lab) == {Mote(1).dev_eui}
    assert wire.codes() == {command.id: None}


@pytest.mark.parametrize(
    ("eui", "branch"),
    [
        (OTHER, topics.DN_COMMAND),
        (OTHER, topics.DN_RECEIPT),
        (EUI, topics.UP_TELEGRAM),
        (EUI, topics.UP_EVENT),
        (EUI, topics.UP_RECEIPT),
        (EUI, topics.STATE),
    ],
)
async def test_a_command_on_any_other_branch_changes_and_answers_nothing(lab: Lab, eui: str, branch: str) -> None:
    wire = Wire(lab)
    await wire.send(table_command(lab, 1, Mote(1)), eui, branch)
    await wire.send(lab.downlink_command(Mote(1)), eui, branch)
    assert (known(lab), lab.table.revision, len(lab.queue), wire.published) == (set(), 0, 0, [])
    assert lab.database.read.execute("SELECT count(*) FROM audit").fetchone() == (0,)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "mspan/1/0011223344556677/dn/command/x",
        "mspan/2/0011223344556677/dn/command",
        "mspan/1/0011223344556677/dn/other",
        "mspan/1/001122334455667/dn/command",
        "/mspan/1/0011223344556677/dn/command",
        "$SYS/broker",
    ],
)
async def test_a_topic_that_is_none_of_ours_is_refused(lab: Lab, topic: str) -> None:
    wire = Wire(lab)
    with pytest.raises(FormatError):
        await wire.commands.take(topic, messages.encode(table_command(lab, 1, Mote(1))))
    assert (known(lab), wire.published) == (set(), [])


async def test_a_stranger_that_enters_the_table_is_dropped_from_the_strangers(lab: Lab) -> None:
    stranger, other = Mote(1), Mote(2)
    await lab.hear(stranger.join_request(1), other.join_request(1))
    assert set(lab.heard.strangers) == {stranger.dev_eui, other.dev_eui}
    await Wire(lab).send(table_command(lab, 1, stranger))
    assert set(lab.heard.strangers) == {other.dev_eui}


class DesiredState:
    """The portal's side in few words: a revision per change, changes as differences, the whole table after a gap."""

    def __init__(self) -> None:
        self.revision = 0
        self.motes: dict[int, Mote] = {}
        self.unanswered: list[messages.DevicesCommand] = []

    def change(self, lab: Lab, chance: random.Random) -> None:
        number = chance.randrange(1, 7)
        removed = self.motes.pop(number, None)
        self.revision += 1
        base = self.revision - 1 or None
        if removed is None:
            self.motes[number] = Mote(number)
            self.unanswered.append(table_command(lab, self.revision, self.motes[number], base=base))
        else:
            remove = (removed.dev_eui,)
            self.unanswered.append(table_command(lab, self.revision, base=base, remove=remove))

    def hear(self, lab: Lab, codes: dict[str, str | None]) -> None:
        gap = any(codes.get(command.id) == "revision_gap" for command in self.unanswered)
        self.unanswered = [command for command in self.unanswered if command.id not in codes]
        if gap:
            self.unanswered = [self.whole(lab)]

    def whole(self, lab: Lab) -> messages.DevicesCommand:
        return table_command(lab, self.revision, *self.motes.values())


@pytest.mark.parametrize("seed", range(12))
async def test_after_any_outage_both_sides_hold_the_same_table(make_lab: Callable[..., Lab], seed: int) -> None:
    # Messages and receipts are lost, doubled and out of order, the concentrator restarts or loses its whole state.
    chance = random.Random(seed)
    lab, portal = make_lab(), DesiredState()
    wire = Wire(lab)
    for _ in range(30):
        portal.change(lab, chance)
        for command in chance.sample(portal.unanswered, chance.randint(0, len(portal.unanswered))):
            for _ in range(chance.choice((0, 1, 1, 2))):
                await wire.send(command)
        if chance.random() < 0.5:
            portal.hear(lab, wire.codes())
        if chance.random() < 0.2:
            if chance.random() < 0.3:
                await lab.database.run(lambda connection: connection.execute("DELETE FROM device").rowcount)
                await lab.database.run(
                    lambda connection: connection.execute("DELETE FROM setting WHERE name = 'revision'").rowcount
                )
            lab = make_lab()
            wire = Wire(lab)
    for _ in range(portal.revision + 2):
        for command in list(portal.unanswered):
            await wire.send(command)
        portal.hear(lab, wire.codes())
        # The retained state names the revision that runs: the portal compares it at each connection.
        if not portal.unanswered and lab.table.revision != portal.revision:
            portal.unanswered = [portal.whole(lab)]
    assert lab.table.revision == portal.revision
    assert known(lab) == {mote.dev_eui for mote in portal.motes.values()}
    assert portal.unanswered == []


async def test_a_kind_of_command_that_is_not_known_is_refused_by_its_id(lab: Lab) -> None:
    wire, identifier = Wire(lab), messages.ulid(1.0, bytes(10))
    body = f'{{"kind":"later","id":"{identifier}","time":"2026-01-01T00:00:00.000Z","v":1}}'.encode()
    await wire.commands.take(topics.topic(EUI, topics.DN_COMMAND), body)
    assert wire.codes() == {identifier: "unknown_command"}


@pytest.mark.parametrize(
    "change", [{"seq": 0}, {"seq": 65535}, {"place": 15}, {"place": 32}, {"curve": "p-521"}, {"not_after": 0}]
)
async def test_an_order_outside_its_bounds_is_not_taken(lab: Lab, change: dict[str, Any]) -> None:
    wire = Wire(lab)
    order: dict[str, Any] = {
        "id": messages.ulid(1.0, bytes(10)),
        "time": "2026-01-01T00:00:00.000Z",
        "dev_eui": Mote(1).dev_eui,
    }
    order |= {"kind": "rekey", "v": 1, "seq": 1, "place": 16, "curve": "p-256"} | change
    with pytest.raises(FormatError):
        await wire.commands.take(topics.topic(EUI, topics.DN_COMMAND), msgspec.json.encode(order))
    assert list(lab.ring) == []
