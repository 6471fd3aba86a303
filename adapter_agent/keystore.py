"""The adapter's keys and its inner counter at rest: sealed under the device's credential, owner-only."""

import os
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from adapter_agent.config import Config
from adapter_agent.state_folder import StateFolder
from edge.sealedfile import SealedFile
from meterwire.counter import LIMIT
from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI, JoinEUI
from meterwire.keymemory import KeyEntry, KeyMemory
from meterwire.lorawan.crypto import RootKey
from meterwire.seal import InnerKey

MAX_HANDOVER: Final = 64 * 1024

Hex16 = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{32}$")]
Eui = Annotated[str, Meta(max_length=32)]


class KeyStoreError(MeterspanError):
    """Keys or counter are missing, damaged or another adapter's: provision the adapter."""

    code = "keystore"


class _InnerKey(Struct, forbid_unknown_fields=True):
    slot: Annotated[int, Meta(ge=0, le=7)]
    key: Hex16
    tag_length: Literal[4, 8] = 4
    purpose: Annotated[str, Meta(max_length=40)] = "inner"
    partner: Annotated[str, Meta(max_length=40)] = "portal"
    not_before: datetime | None = None
    not_after: datetime | None = None


class _HandOver(Struct, forbid_unknown_fields=True):
    """The file that the portal makes at provisioning. `counter`: where a replaced adapter's inner counter goes on."""

    dev_eui: Eui
    join_eui: Eui
    root_key: Hex16 | None = None
    inner_keys: Annotated[tuple[_InnerKey, ...], Meta(max_length=8)] = ()
    counter: Annotated[int, Meta(ge=0, lt=LIMIT)] = 0


@dataclass(frozen=True, slots=True)
class Keys:
    """What this side holds: the radio's root key (None on an interface board) and the inner layer's key memory."""

    root: RootKey | None
    inner: KeyMemory


class KeyStore:
    """The sealed keys of one adapter. Where it is divided, each board keeps only what it needs.

    `root`: this side has the radio. `inner`: this side seals.
    """

    def __init__(self, state: StateFolder, dev_eui: DevEUI, join_eui: JoinEUI, *, root: bool, inner: bool) -> None:
        self._file, self._counter = state.file("keys"), state.file("counter")
        self._dev_eui, self._join_eui = dev_eui, join_eui
        self._root, self._inner = root, inner

    @classmethod
    def of(cls, config: Config, state: StateFolder) -> "KeyStore":
        """The store that a configuration asks for, provisioned with its `key_file` where one lies ready."""
        adapter = config.adapter
        store = cls(state, adapter.dev_eui, adapter.join_eui, root=config.has_radio, inner=config.seals)
        if adapter.key_file is not None and adapter.key_file.exists():
            store.provision(adapter.key_file)
        return store

    def provision(self, hand_over: Path) -> None:
        """Seal the keys in a hand-over file, start the inner counter where there is none, and remove the file.

        An inner counter that runs goes on: it never restarts, whatever the keys. Raises KeyStoreError.
        """
        held = _decoded(_read_hand_over(hand_over), str(hand_over))
        self._check(held, str(hand_over))
        _memory(held)
        if self._inner:
            counter = CounterFile(self._counter)
            if self._counter.read() is None or counter.load() < held.counter:
                counter.save(held.counter)
        kept = msgspec.structs.replace(
            held,
            root_key=held.root_key if self._root else None,
            inner_keys=held.inner_keys if self._inner else (),
        )
        self._file.write(msgspec.json.encode(kept))
        hand_over.unlink()

    def load(self) -> Keys:
        """Raises KeyStoreError when the adapter is not provisioned."""
        content = self._file.read()
        if content is None:
            raise KeyStoreError("the adapter has no keys: run 'adapter-agent provision', or set key_file")
        held = _decoded(content, str(self._file.path))
        self._check(held, str(self._file.path))
        root = None if held.root_key is None else RootKey(bytes.fromhex(held.root_key))
        return Keys(root, _memory(held))

    def counter(self) -> "CounterFile":
        """The store of the inner counter. Raises KeyStoreError when it is lost: zero would repeat what was used."""
        if self._counter.read() is None:
            raise KeyStoreError(
                f"the inner counter ({self._counter.path}) is lost: provision the adapter with a hand-over file that"
                " names the counter to go on at, or with new keys"
            )
        return CounterFile(self._counter)

    def _check(self, held: _HandOver, source: str) -> None:
        if (DevEUI.parse(held.dev_eui), JoinEUI.parse(held.join_eui)) != (self._dev_eui, self._join_eui):
            raise KeyStoreError(
                f"{source} is for the adapter {held.dev_eui} (JoinEUI {held.join_eui}), the configuration names"
                f" {self._dev_eui} (JoinEUI {self._join_eui}); use the file that belongs to it"
            )
        if self._root and held.root_key is None:
            raise KeyStoreError(f"{source} holds no root key; provision the adapter with a complete hand-over file")


class CounterFile:
    """A `meterwire.counter.CounterStore` in a sealed file."""

    def __init__(self, file: SealedFile) -> None:
        self._file = file

    def load(self) -> int:
        content = self._file.read()
        if content is None:
            return 0
        if len(content) != 8:
            raise KeyStoreError(f"{self._file.path} holds no counter; restore it from a backup")
        return int.from_bytes(content, "big")

    def save(self, reserved_up_to: int) -> None:
        self._file.write(reserved_up_to.to_bytes(8, "big"))


def _read_hand_over(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise KeyStoreError(f"{path} holds keys and is open to others; run: chmod 600 {path}")
            content = file.read(MAX_HANDOVER + 1)
    except OSError as error:
        raise KeyStoreError(f"{path} cannot be read ({error.strerror})") from None
    if len(content) > MAX_HANDOVER:
        raise KeyStoreError(f"{path} is over {MAX_HANDOVER} bytes; this is no hand-over file")
    return content


def _decoded(content: bytes, source: str) -> _HandOver:
    try:
        return msgspec.json.decode(content, type=_HandOver)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeyStoreError(f"{source} is no hand-over file of the portal: {error}") from None


def _memory(held: _HandOver) -> KeyMemory:
    if len({key.slot for key in held.inner_keys}) < len(held.inner_keys):
        raise KeyStoreError("two keys claim one slot; ask the portal for a new hand-over file")
    return KeyMemory(*[_entry(key) for key in held.inner_keys])


def _entry(key: _InnerKey) -> KeyEntry:
    return KeyEntry(
        key.slot,
        InnerKey(bytes.fromhex(key.key), key.tag_length),
        key.purpose,
        key.partner,
        _unix(key.not_before, key.slot),
        _unix(key.not_after, key.slot),
    )


def _unix(moment: datetime | None, slot: int) -> float | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise KeyStoreError(f"the validity of the key in slot {slot} names no time zone; ask for a new hand-over file")
    return moment.timestamp()
