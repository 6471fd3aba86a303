"""The adapter's keys and its inner counter at rest: sealed under the device's credential, owner-only."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from adapter_agent.config import Config
from adapter_agent.keys import handover, stored
from adapter_agent.keys.holding import Holding, Partner
from adapter_agent.keys.ring import KeyRing
from adapter_agent.keys.stored import KeyStoreError
from adapter_agent.state_folder import StateFolder
from edge.sealedfile import SealedFile
from meterwire.errors import MeterspanError
from meterwire.ids import DevEUI, JoinEUI
from meterwire.keymemory import KeyMemory
from meterwire.lorawan.crypto import RootKey
from meterwire.seal import Key16

log = logging.getLogger(__name__)

__all__ = ["CounterFile", "KeyStore", "KeyStoreError", "Keys"]


@dataclass(frozen=True, slots=True)
class Keys:
    """What this side holds: the radio's root key (None on an interface board), and the rest as it changes."""

    root: RootKey | None
    ring: KeyRing

    @property
    def inner(self) -> KeyMemory:
        """The inner layer's key memory."""
        return self.ring.memory

    def meter_key(self, input_: int) -> Key16 | None:
        """The key with which the meter at `input_` (0 to 7) encrypts by itself; None when there is none."""
        return self.ring.meter_key(input_)


class KeyStore:
    """The sealed keys of one adapter. Where it is divided, each board keeps only what it needs.

    `root`: this side has the radio. `inner`: this side seals, and so takes part in the exchange of keys.
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

        An inner counter that runs goes on: it never restarts, whatever the keys. Nor do the sequence numbers of a
        transport key that is in use already. Raises KeyStoreError.
        """
        given = handover.read(hand_over)
        self._check(DevEUI.parse(given.dev_eui), JoinEUI.parse(given.join_eui), str(hand_over))
        holding = given.holding()
        self._check_root(holding, str(hand_over))
        if self._inner:
            counter = CounterFile(self._counter)
            if self._counter.read() is None or counter.load() < given.counter:
                counter.save(given.counter)
            holding = replace(holding, partners=self._as_far_as_known(holding.partners))
            kept = holding if self._root else replace(holding, root=None)
        else:
            kept = Holding(holding.root if self._root else None, meters=holding.meters)
        self._file.write(self._encode(kept))
        hand_over.unlink()

    def load(self) -> Keys:
        """Raises KeyStoreError when the adapter is not provisioned."""
        content = self._file.read()
        if content is None:
            raise KeyStoreError("the adapter has no keys: run 'adapter-agent provision', or set key_file")
        source = str(self._file.path)
        holding, dev_eui, join_eui = stored.decode(content, source)
        self._check(dev_eui, join_eui, source)
        self._check_root(holding, source)
        root = None if holding.root is None else RootKey(holding.root.reveal())
        return Keys(root, KeyRing(self._file, self._encode, holding))

    def meter_keys(self) -> Callable[[int], Key16 | None]:
        """The keys of meters that encrypt by themselves, of a board that may have none. Raises KeyStoreError."""
        return self.load().meter_key if self._file.path.exists() else _no_meter_key

    def counter(self) -> "CounterFile":
        """The store of the inner counter. Raises KeyStoreError when it is lost: zero would repeat what was used."""
        if self._counter.read() is None:
            raise KeyStoreError(
                f"the inner counter ({self._counter.path}) is lost: provision the adapter with a hand-over file that"
                " names the counter to go on at, or with new keys"
            )
        return CounterFile(self._counter)

    def _encode(self, holding: Holding) -> bytes:
        return stored.encode(holding, self._dev_eui, self._join_eui)

    def _as_far_as_known(self, partners: tuple[Partner, ...]) -> tuple[Partner, ...]:
        try:
            content = self._file.read()
            known = () if content is None else stored.decode(content, str(self._file.path))[0].partners
        except MeterspanError as error:  # damaged keys are a reason to provision, not one against it
            log.warning("the sequence numbers of the transport keys begin anew: %s", error)
            return partners
        reached = [max([one.seq for one in known if one.transport == new.transport], default=0) for new in partners]
        return tuple(replace(new, seq=seq) for new, seq in zip(partners, reached, strict=True))

    def _check(self, dev_eui: DevEUI, join_eui: JoinEUI, source: str) -> None:
        if (dev_eui, join_eui) != (self._dev_eui, self._join_eui):
            raise KeyStoreError(
                f"{source} is for the adapter {dev_eui} (JoinEUI {join_eui}), the configuration names"
                f" {self._dev_eui} (JoinEUI {self._join_eui}); use the file that belongs to it"
            )

    def _check_root(self, holding: Holding, source: str) -> None:
        if self._root and holding.root is None:
            raise KeyStoreError(f"{source} holds no root key; provision the adapter with a complete hand-over file")


def _no_meter_key(input_: int) -> None:
    return None


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
