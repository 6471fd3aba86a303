"""The device table: what the portal wants, taken over revision by revision, its keys unwrapped and sealed again."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Final

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


@dataclass(slots=True)
class _Assembly:
    """The parts of one revision that have come so far, and the ids to answer when it is applied."""

    revision: int
    base: int | None
    parts: int
    held: dict[int, DevicesCommand] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Applied:
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
        if command.part > command.parts:
            return _refusal([command.id], "format", f"part {command.part} of {command.parts} does not exist")
        if command.revision == self.revision:
            return Applied((Result(command.id),))
        if command.base is not None and command.base != self.revision:
            return _refusal(
                [command.id],
                "revision_gap",
                f"revision {self.revision} runs here, not {command.base}: send the whole table",
            )
        if command.revision < self.revision:
            return _refusal([command.id], "revision_old", f"revision {self.revision} runs here already")
        assembly = self._assembly
        if assembly is None or (assembly.revision, assembly.base, assembly.parts) != (
            command.revision,
            command.base,
            command.parts,
        ):
            assembly = self._assembly = _Assembly(command.revision, command.base, command.parts)
        assembly.held[command.part] = command
        if command.id not in assembly.ids and len(assembly.ids) < MAX_IDS:
            assembly.ids.append(command.id)
        if len(assembly.held) < assembly.parts:
            return Applied()
        refused = await self._apply(assembly)
        self._assembly = None
        return Applied(tuple(Result(one) for one in assembly.ids), tuple(refused), changed=True)

    async def _apply(self, assembly: _Assembly) -> list[tuple[str, DeviceRefused]]:
        writes: list[Callable[[sqlite3.Connection], None]] = []
        refused: list[tuple[str, DeviceRefused]] = []
        named: set[str] = set()
        removed: set[str] = set()
        for command in (assembly.held[part] for part in sorted(assembly.held)):
            removed.update(command.remove)
            for number, entry in enumerate(command.upsert):
                if number % UNWRAPPED_PER_TURN == UNWRAPPED_PER_TURN - 1:
                    await asyncio.sleep(0)
                named.add(entry.dev_eui)
                try:
                    writes.append(self._write(entry))
                except DeviceRefused as error:
                    refused.append((entry.dev_eui, error))
        removed -= named

        def job(connection: sqlite3.Connection) -> int:
            gone: Iterable[str] = removed
            if assembly.base is None:
                gone = store.device_euis(connection) - named
            store.remove_devices(connection, gone)
            for write in writes:
                write(connection)
            store.put_setting(connection, REVISION, str(assembly.revision).encode())
            return store.count_devices(connection)

        self.count = await self._database.run(job)
        self.revision = assembly.revision
        return refused

    def _write(self, entry: DeviceEntry) -> Callable[[sqlite3.Connection], None]:
        """What brings the entry into the store. Raises DeviceRefused."""
        if (entry.root_key is None) == (entry.abp is None):
            raise DeviceRefused("format", "a device has either a root key or the keys of one fixed session")
        if entry.root_key is not None:
            return self._write_otaa(entry, self._unwrap(entry.root_key, entry.dev_eui, "root"))
        return self._write_abp(entry)

    def _write_otaa(self, entry: DeviceEntry, key: bytes) -> Callable[[sqlite3.Connection], None]:
        known = store.device(self._database.read, entry.dev_eui)
        same = (
            known is not None
            and known.root_key is not None
            and known.join_eui == entry.join_eui
            and compare_digest(open_root_key(self._credential, entry.dev_eui, known.root_key), key)
        )
        sealed = self._credential.seal(key, _PURPOSE, bytes.fromhex(entry.dev_eui))

        def write(connection: sqlite3.Connection) -> None:
            store.put_device(connection, _row(entry, sealed))
            if not same:
                store.forget_activation(connection, entry.dev_eui)

        return write

    def _write_abp(self, entry: DeviceEntry) -> Callable[[sqlite3.Connection], None]:
        assert entry.abp is not None
        keys = SessionKeys(
            self._unwrap(entry.abp.nwk_s_key, entry.dev_eui, "nwk"),
            self._unwrap(entry.abp.app_s_key, entry.dev_eui, "app"),
        )
        dev_addr = int(entry.abp.dev_addr, 16)
        known = store.device(self._database.read, entry.dev_eui)
        sessions_known = store.sessions_of(self._database.read, entry.dev_eui)
        same = (
            known is not None
            and known.root_key is None
            and any(
                row.dev_addr == dev_addr and sessions.open_keys(self._credential, row) == keys for row in sessions_known
            )
        )
        session = store.SessionRow(
            id=0,
            dev_eui=entry.dev_eui,
            dev_addr=dev_addr,
            epoch=0,
            pending=0,
            keys=sessions.seal_keys(self._credential, keys, entry.dev_eui, dev_addr, 0),
            fcnt_up=0,
            fcnt_down=0,
            counter=None,
            mac=mac.MacState(mac.factory_parameters(self._plan)).encode(),
        )

        def write(connection: sqlite3.Connection) -> None:
            store.put_device(connection, _row(entry, None))
            if not same:
                store.forget_activation(connection, entry.dev_eui)
                store.put_session(connection, session)

        return write

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


def _row(entry: DeviceEntry, sealed: bytes | None) -> store.DeviceRow:
    return store.DeviceRow(entry.dev_eui, entry.join_eui, entry.lorawan, int(entry.foreign), sealed, None, 0, 0)


def _refusal(ids: list[str], code: str, sentence: str) -> Applied:
    return Applied(tuple(Result(one, code, sentence) for one in ids))
