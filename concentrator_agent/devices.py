"""The device table: what the portal wants, taken over revision by revision, its keys unwrapped and sealed again."""

import asyncio
import sqlite3
from hmac import compare_digest
from typing import Final

import msgspec

from concentrator_agent import store
from concentrator_agent.server import mac, sessions
from edge.database import Database
from edge.sealedfile import Credential
from meterwire import transport_key
from meterwire.errors import FormatError, MeterspanError
from meterwire.ids import DevEUI, GatewayEUI
from meterwire.lorawan.crypto import SessionKeys
from meterwire.lorawan.plan import Region
from meterwire.messages import DeviceEntry, DevicesCommand, Result, WrappedKey

REVISION: Final = "revision"
MAX_IDS: Final = 2000  # commands answered together
UNWRAPPED_PER_TURN: Final = 50  # entries between two turns of the event loop
_PURPOSE: Final = "root"


class DeviceRefused(MeterspanError):
    """An entry that cannot be used; `reason` as in the event `device_refused`."""

    code = "device_refused"

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class _Assembly(msgspec.Struct, eq=False):
    """Which parts of one revision have come so far, and the ids to answer when it is applied."""

    revision: int
    base: int | None
    parts: int
    held: set[int] = msgspec.field(default_factory=set)
    ids: list[str] = msgspec.field(default_factory=list)
    refused: list[tuple[str, DeviceRefused]] = msgspec.field(default_factory=list)


class Applied(msgspec.Struct, frozen=True):
    """What one command led to: `results` for the receipt (empty while parts are missing), refused entries."""

    results: tuple[Result, ...] = ()
    refused: tuple[tuple[str, DeviceRefused], ...] = ()
    changed: bool = False


class DeviceTable:
    """The table in the store and the revision that runs."""

    def __init__(
        self, database: Database, credential: Credential, concentrator: GatewayEUI, private_key: bytes, plan: Region
    ) -> None:
        self._database = database
        self._credential = credential
        self._concentrator = concentrator
        self._private_key = private_key
        self._plan = plan
        self._assembly: _Assembly | None = None
        self.revision = int(store.setting(database.read, REVISION) or b"0")
        self.count = store.count_devices(database.read)

    async def take(self, command: DevicesCommand) -> Applied:
        """Take one part of a revision; apply it durably when all parts are in. Raises StorageError."""
        refusal = self._refusal(command)
        if refusal is not None:
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
            assembly = self._assembly = _Assembly(command.revision, command.base, command.parts)
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
        if command.base is not None and command.base != self.revision:
            sentence = f"revision {self.revision} runs here, not {command.base}: send the whole table"
            return Result(command.id, "revision_gap", sentence)
        if command.revision < self.revision:
            return Result(command.id, "revision_old", f"revision {self.revision} runs here already")
        return None

    async def _stage(self, command: DevicesCommand, assembly: _Assembly, fresh: bool) -> None:
        rows: list[store.StagedRow] = []
        for number, entry in enumerate(command.upsert):
            if number % UNWRAPPED_PER_TURN == UNWRAPPED_PER_TURN - 1:
                await asyncio.sleep(0)
            try:
                rows.append(self._row(entry))
            except DeviceRefused as error:
                rows.append(store.StagedRow(entry.dev_eui, "keep"))
                assembly.refused.append((entry.dev_eui, error))

        def job(connection: sqlite3.Connection) -> None:
            if fresh:
                store.clear_stage(connection)
            store.stage(connection, rows, command.remove)

        await self._database.run(job)
        assembly.held.add(command.part)

    async def _apply(self, assembly: _Assembly) -> Applied:
        def job(connection: sqlite3.Connection) -> int:
            store.apply_stage(connection, whole=assembly.base is None)
            store.put_setting(connection, REVISION, str(assembly.revision).encode())
            return store.count_devices(connection)

        self.count = await self._database.run(job)
        self.revision = assembly.revision
        self._assembly = None
        return Applied(tuple(Result(one) for one in assembly.ids), tuple(assembly.refused), changed=True)

    def _row(self, entry: DeviceEntry) -> store.StagedRow:
        """The entry with its keys sealed for the store. Raises DeviceRefused."""
        if (entry.root_key is None) == (entry.abp is None):
            raise DeviceRefused("format", "a device has either a root key or the keys of one fixed session")
        common = store.StagedRow(entry.dev_eui, "put", entry.join_eui, entry.lorawan, int(entry.foreign))
        known = store.device(self._database.read, entry.dev_eui)
        if entry.root_key is not None:
            key = self._unwrap(entry.root_key, entry.dev_eui, "root")
            sealed = self._credential.seal(key, _PURPOSE, bytes.fromhex(entry.dev_eui))
            return common._replace(root_key=sealed, same=int(self._same_root(known, entry, key)))
        assert entry.abp is not None
        dev_addr = int(entry.abp.dev_addr, 16)
        nwk_s_key = self._unwrap(entry.abp.nwk_s_key, entry.dev_eui, "nwk")
        keys = SessionKeys(nwk_s_key, self._unwrap(entry.abp.app_s_key, entry.dev_eui, "app"))
        return common._replace(
            dev_addr=dev_addr,
            keys=sessions.seal_keys(self._credential, keys, entry.dev_eui, dev_addr, 0),
            mac=mac.MacState(mac.factory_parameters(self._plan)).encode(),
            same=int(self._same_session(known, dev_addr, keys)),
        )

    def _same_root(self, known: store.DeviceRow | None, entry: DeviceEntry, key: bytes) -> bool:
        if known is None or known.root_key is None or known.join_eui != entry.join_eui:
            return False
        return compare_digest(open_root_key(self._credential, entry.dev_eui, known.root_key), key)

    def _same_session(self, known: store.DeviceRow | None, dev_addr: int, keys: SessionKeys) -> bool:
        if known is None or known.root_key is not None:
            return False
        rows = store.sessions_of(self._database.read, known.dev_eui)
        return any(row.dev_addr == dev_addr and sessions.open_keys(self._credential, row) == keys for row in rows)

    def _unwrap(self, wrapped: WrappedKey, dev_eui: str, purpose: str) -> bytes:
        try:
            return transport_key.unwrap(
                self._private_key,
                wrapped,
                concentrator=self._concentrator,
                dev_eui=DevEUI.parse(dev_eui),
                purpose=purpose,
            )
        except FormatError as error:
            raise DeviceRefused("format", str(error)) from None
        except MeterspanError as error:
            raise DeviceRefused("key", str(error)) from None


def open_root_key(credential: Credential, dev_eui: str, sealed: bytes) -> bytes:
    """The 16-byte root key of a device row. Raises SealedFileUnreadable under another credential."""
    return credential.open(sealed, _PURPOSE, bytes.fromhex(dev_eui))
