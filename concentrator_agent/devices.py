"""The device table and its plan of time: what the portal wants, taken over revision by revision."""

import sqlite3
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from concentrator_agent import store
from concentrator_agent.audit import Audit, Note
from concentrator_agent.rootkeys import KeyService, Outcome, Task
from concentrator_agent.timeplan import PLAN, TimePlan, encode_plan
from edge.database import Database
from meterwire.messages import DevicesCommand, Result
from meterwire.time_entries import PlanEntry

REVISION: Final = "revision"
MAX_IDS: Final = 2000  # commands answered together


class _Assembly(msgspec.Struct, eq=False):
    """Which parts of one revision have come so far, and the ids to answer when it is applied."""

    revision: int
    base: int | None
    parts: int
    plan: PlanEntry | None
    held: set[int] = msgspec.field(default_factory=set)
    ids: list[str] = msgspec.field(default_factory=list)
    refused: list[Outcome] = msgspec.field(default_factory=list)


class Applied(msgspec.Struct, frozen=True):
    """What one command led to: `results` for the receipt (empty while parts are missing), refused entries."""

    results: tuple[Result, ...] = ()
    refused: tuple[Outcome, ...] = ()
    changed: bool = False


class DeviceTable:
    """The table in the store and the revision that runs.

    `on_change` is told which devices a revision touched, None for a whole table, once that and `plan` hold.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyService,
        audit: Audit,
        *,
        plan: TimePlan,
        on_change: Callable[[Collection[str] | None], None] = lambda dev_euis: None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._audit = audit
        self._plan = plan
        self._on_change = on_change
        self._refused_last = ""
        self._assembly: _Assembly | None = None
        self.revision = int(store.setting(database.read, REVISION) or b"0")
        self.count = store.count_devices(database.read)
        self.wholes = 0  # whole tables applied since the start

    async def take(self, command: DevicesCommand) -> Applied:
        """Take one part of a revision; apply it durably when all parts are in.

        Raises StorageError or KeyServiceFailed; the command may be tried again.
        """
        refusal = self._refusal(command)
        if refusal is not None:
            await self._note_refusal(command, refusal)
            return Applied((refusal,))
        if command.revision == self.revision:
            return Applied((Result(command.id),))
        assembly = self._assembly
        fresh = assembly is None or (assembly.revision, assembly.base, assembly.parts) != (
            command.revision,
            command.base,
            command.parts,
        )
        if assembly is None or fresh:
            assembly = self._assembly = _Assembly(command.revision, command.base, command.parts, command.plan)
        assembly.plan = command.plan or assembly.plan
        if command.part not in assembly.held:
            await self._stage(command, assembly, fresh)
        if command.id not in assembly.ids and len(assembly.ids) < MAX_IDS:
            assembly.ids.append(command.id)
        if len(assembly.held) < assembly.parts:
            return Applied()
        return await self._apply(assembly)

    def _refusal(self, command: DevicesCommand) -> Result | None:
        if command.part > command.parts:
            return Result(command.id, "format", f"part {command.part} of {command.parts} does not exist")
        if command.revision == self.revision:
            return None
        wrong = self._plan.fault(command.plan)
        if wrong is not None:
            return Result(command.id, "format", f"the plan of time cannot be followed: {wrong}")
        if command.base is not None and command.base != self.revision:
            sentence = f"revision {self.revision} runs here, not {command.base}: send the whole table"
            return Result(command.id, "revision_gap", sentence)
        if command.revision < self.revision:
            return Result(command.id, "revision_old", f"revision {self.revision} runs here already")
        return None

    async def _note_refusal(self, command: DevicesCommand, refusal: Result) -> None:
        # Without a receipt the same command comes again and again; one row tells it.
        if command.id == self._refused_last:
            return
        note = Note("table.refuse", refusal.code or "", None, command.revision, command.id, refusal.message or "")
        await self._database.run(lambda connection: self._audit.note(connection, [note]))
        self._refused_last = command.id

    async def _stage(self, command: DevicesCommand, assembly: _Assembly, fresh: bool) -> None:
        read = self._database.read
        outcomes = await self._keys.stage(
            [
                Task(entry, store.device(read, entry.dev_eui), tuple(store.sessions_of(read, entry.dev_eui)))
                for entry in command.upsert
            ]
        )
        assembly.refused += [outcome for outcome in outcomes if outcome.reason is not None]

        def job(connection: sqlite3.Connection) -> None:
            if fresh:
                store.clear_stage(connection)
            store.stage(connection, [outcome.row for outcome in outcomes], command.remove)

        await self._database.run(job)
        assembly.held.add(command.part)

    async def _apply(self, assembly: _Assembly) -> Applied:
        def job(connection: sqlite3.Connection) -> tuple[int, list[str] | None]:
            self._audit.note(connection, self._notes(connection, assembly))
            touched = None if assembly.base is None else store.staged_devices(connection)
            store.apply_stage(connection, whole=assembly.base is None)
            store.put_setting(connection, REVISION, str(assembly.revision).encode())
            store.put_setting(connection, PLAN, encode_plan(assembly.plan))
            return store.count_devices(connection), touched

        self.count, touched = await self._database.run(job)
        self._plan.follow(assembly.plan)
        self._on_change(touched)
        self.revision = assembly.revision
        self.wholes += assembly.base is None
        self._assembly = None
        return Applied(tuple(Result(one) for one in assembly.ids), tuple(assembly.refused), changed=True)

    def _notes(self, connection: sqlite3.Connection, assembly: _Assembly) -> list[Note]:
        """What this revision is about to do, for the audit trail."""
        whole, revision = assembly.base is None, assembly.revision
        planned = store.planned(connection, whole=whole)
        notes = [Note(f"device.{what}", "ok", dev_eui, revision, None, detail) for what, dev_eui, detail in planned]
        for outcome in assembly.refused:
            notes.append(
                Note("device.refuse", outcome.reason or "", outcome.row.dev_eui, revision, None, outcome.message)
            )
        if assembly.plan != self._plan.planned:
            notes.append(Note("plan.change", "ok", None, revision, None, encode_plan(assembly.plan).decode()))
        done = f"{'whole table' if whole else f'change of revision {assembly.base}'}, {len(planned)} devices touched"
        return [*notes, Note("table.apply", "ok", None, revision, assembly.ids[-1] if assembly.ids else None, done)]
