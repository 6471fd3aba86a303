"""Everything an adapter holds in keys, as one value: a change makes a new one, which is stored as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from meterwire.key_messages import MacKeys, Place, mac_keys
from meterwire.keymemory import KeyEntry, KeyMemory
from meterwire.seal import InnerKey, Key16

PORTAL: Final = "portal"
PORTAL_SLOT: Final = 0
MAX_PARTNERS: Final = 8


@dataclass(frozen=True)
class Candidate:
    """The key agreed on in answer to the offer `seq`; nothing seals with it before the partner confirms."""

    place: Place
    seq: int
    key: InnerKey


@dataclass(frozen=True)
class Partner:
    """Somebody who shares a transport key, and how far the messages under it have come.

    `seq`, `request`: the last request that was accepted; `answer`: what it was answered with, `told` once the network
    has acknowledged it. `slot` names the transport key, 0 for the portal's.
    """

    name: str
    slot: int
    transport: Key16
    seq: int = 0
    request: bytes = b""
    answer: bytes = b""
    told: bool = True
    candidate: Candidate | None = None

    @cached_property
    def macs(self) -> MacKeys:
        return mac_keys(self.transport)

    @property
    def is_portal(self) -> bool:
        return self.name == PORTAL


@dataclass(frozen=True)
class Holding:
    """`trials`: slot to the Unix time at which a key on trial sealed its first telegram. `meters`: input to the key
    with which the meter there encrypts by itself.
    """

    root: Key16 | None = None
    inner: tuple[KeyEntry, ...] = ()
    partners: tuple[Partner, ...] = ()
    meters: Mapping[int, Key16] = field(default_factory=dict)
    trials: Mapping[int, float] = field(default_factory=dict)

    def memory(self) -> KeyMemory:
        """A key memory of its own."""
        return KeyMemory(*self.inner)

    def remembering(self, memory: KeyMemory) -> "Holding":
        """With the inner keys of `memory`; trials go on where the same key is still in its slot."""
        kept = {
            entry.slot for entry in memory if entry.key in [old.key for old in self.inner if old.slot == entry.slot]
        }
        trials = {slot: since for slot, since in self.trials.items() if slot in kept}
        return replace(self, inner=tuple(memory), trials=trials)

    def with_partner(self, old: Partner, new: Partner | None) -> "Holding":
        """`old` replaced by `new`, or gone."""
        changed = tuple(new if one is old else one for one in self.partners)
        return replace(self, partners=tuple(one for one in changed if one is not None))
